//! A reader of tags as a browser reads them, small because our own pages are regular: names, attributes, forms.

/// An opening tag.
#[derive(Debug)]
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: Vec<(&'a str, &'a str)>,
    /// Where it stands.
    at: usize,
}

impl Tag<'_> {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// All opening tags. Anything that looks like the start of one counts, as it does for a browser.
pub(crate) fn read(html: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')).unwrap_or(rest.len());
        let mut tag = Tag { name: &rest[..end], attributes: Vec::new(), at: html.len() - rest.len() };
        rest = &rest[end..];
        while let Some((name, value, after)) = attribute(rest) {
            tag.attributes.push((name, value));
            rest = after;
        }
        tags.push(tag);
    }
    tags
}

/// The next attribute of an open tag, and what follows it; none at its end.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
    if text.is_empty() || text.starts_with('>') {
        return None;
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let Some(value) = after.strip_prefix('=') else { return Some((name, "", after)) };
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => {
            let value = &value[1..];
            let end = value.find(quote).unwrap_or(value.len());
            Some((name, &value[..end], value.get(end + 1..).unwrap_or_default()))
        }
        None => {
            let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
            Some((name, &value[..end], &value[end..]))
        }
    }
}

/// The page's text between attribute values: fields give back what was typed, whatever it was.
pub(crate) fn without_attribute_values(html: &str) -> String {
    html.split('"').step_by(2).collect()
}

/// A form with the names it sends.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) method: String,
    pub(crate) action: String,
    pub(crate) fields: Vec<String>,
}

/// All forms of a page but those that only close a dialog.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let tags = read(html);
    let mut forms = Vec::new();
    for form in tags.iter().filter(|tag| tag.name == "form" && tag.attribute("method") != Some("dialog")) {
        let end = html[form.at..].find("</form>").map_or(html.len(), |length| form.at + length);
        let inside = tags.iter().filter(|tag| tag.at > form.at && tag.at < end);
        let text = |name| form.attribute(name).unwrap_or_default().to_owned();
        forms.push(Form {
            method: text("method"),
            action: text("action"),
            fields: inside.filter_map(|tag| tag.attribute("name")).map(str::to_owned).collect(),
        });
    }
    forms
}

#[test]
fn markup_that_got_through_would_be_seen() {
    let html = "<p title=\"a\"><script>x</script><IMG src=x onerror=alert(1)><a href='//e'>";
    let tags = read(html);
    let names: Vec<&str> = tags.iter().map(|tag| tag.name).collect();
    assert_eq!(names, ["p", "script", "IMG", "a"]);
    assert_eq!(tags[2].attributes, [("src", "x"), ("onerror", "alert(1)")]);
    assert_eq!(tags[3].attribute("href"), Some("//e"));
}
