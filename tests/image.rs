//! The image and the compose file, held to what running them safely takes.
//!
//! Read by rules of our own, because no container engine may be asked for in a plain test. Each rule is shown to fire
//! on a file that breaks it.

use tests::repo;

fn read(name: &str) -> String {
    std::fs::read_to_string(repo::root().join(name)).unwrap()
}

/// One instruction of a Dockerfile, continued lines joined.
#[derive(Debug, PartialEq)]
struct Instruction {
    word: String,
    arguments: String,
}

/// The stages in order; a stage begins with its `FROM`.
fn stages(text: &str) -> Vec<Vec<Instruction>> {
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let joined = lines.fold(String::new(), |all, line| match line.strip_suffix('\\') {
        Some(open) => all + open,
        None => all + line + "\n",
    });
    for line in joined.lines() {
        let (word, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
        let instruction = Instruction { word: word.to_ascii_uppercase(), arguments };
        match stages.last_mut() {
            Some(stage) if instruction.word != "FROM" => stage.push(instruction),
            _ => stages.push(vec![instruction]),
        }
    }
    stages
}

fn image_breaches(text: &str) -> Vec<String> {
    let stages = stages(text);
    let Some(last) = stages.last() else { return vec!["no stage".to_owned()] };
    let mut breaches = Vec::new();
    let mut must = |word: &str, arguments: &str| {
        let said: Vec<&str> = last.iter().filter(|i| i.word == word).map(|i| i.arguments.as_str()).collect();
        if said != [arguments] {
            breaches.push(format!("the last stage says {word} {said:?}, expected {arguments:?}"));
        }
    };
    must("FROM", "scratch AS runtime");
    must("USER", "65532:65532");
    must("VOLUME", "/data");
    must("EXPOSE", "8443 8080");
    must("STOPSIGNAL", "SIGTERM");
    must("ENTRYPOINT", "[\"/watchpost\"]");
    let health = last.iter().find(|i| i.word == "HEALTHCHECK").map_or("", |i| i.arguments.as_str());
    if !health.ends_with("CMD [\"/watchpost\", \"healthcheck\"]") {
        breaches.push("the last stage has no HEALTHCHECK by the binary itself".to_owned());
    }
    if !last
        .iter()
        .any(|i| i.word == "LABEL" && i.arguments.contains("org.opencontainers.image.licenses=\"Apache-2.0\""))
    {
        breaches.push("the last stage does not label its licence".to_owned());
    }
    if last.iter().any(|i| i.word == "RUN") {
        breaches.push("the last stage runs something, and there is no shell".to_owned());
    }
    if !last.iter().any(|i| i.word == "COPY" && i.arguments == "--from=binary --chown=65532:65532 /data /data") {
        breaches.push("the data folder does not belong to the user who writes it".to_owned());
    }
    breaches.extend(stages.iter().flatten().filter_map(instruction_breach));
    breaches
}

/// What holds in every stage.
fn instruction_breach(instruction: &Instruction) -> Option<String> {
    let Instruction { word, arguments } = instruction;
    let breach = match word.as_str() {
        "ADD" => "ADD fetches and unpacks: use COPY",
        "FROM" if arguments.contains(":latest") || !(arguments.contains(':') || arguments.starts_with("scratch ")) => {
            "FROM without a version"
        }
        "RUN" if arguments.contains("cargo build") && !arguments.contains("--locked") => "cargo build without --locked",
        "RUN" if arguments.contains("apt-get install") && !arguments.contains("--no-install-recommends") => {
            "apt-get installs what was not asked for"
        }
        "RUN" if arguments.contains("apt-get update") && !arguments.contains("rm -rf /var/lib/apt/lists") => {
            "apt-get leaves its lists behind"
        }
        "ENV" | "ARG" if ["PASSWORD", "TOKEN", "SECRET"].iter().any(|word| arguments.contains(word)) => {
            "a secret in the image's own layers"
        }
        _ => return None,
    };
    Some(format!("{breach}: {word} {arguments}"))
}

#[test]
fn the_image_is_one_binary_that_is_not_root() {
    let breaches = image_breaches(&read("Dockerfile"));
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_rule_of_the_image_fires() {
    let whole = read("Dockerfile");
    for (from, to, said) in [
        ("FROM scratch AS runtime", "FROM debian:12 AS runtime", "the last stage says FROM"),
        ("USER 65532:65532", "USER root", "the last stage says USER"),
        ("USER 65532:65532\n", "", "the last stage says USER []"),
        ("VOLUME /data", "VOLUME /var", "the last stage says VOLUME"),
        ("EXPOSE 8443 8080", "EXPOSE 8443", "the last stage says EXPOSE"),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "the last stage says STOPSIGNAL"),
        ("ENTRYPOINT [\"/watchpost\"]", "ENTRYPOINT /watchpost", "the last stage says ENTRYPOINT"),
        ("\"healthcheck\"", "\"version\"", "no HEALTHCHECK"),
        ("licenses=\"Apache-2.0\"", "licenses=\"none\"", "label its licence"),
        ("STOPSIGNAL", "RUN true\nSTOPSIGNAL", "there is no shell"),
        ("--chown=65532:65532 ", "", "does not belong to the user"),
        ("COPY . .", "ADD . .", "use COPY"),
        ("rust:1.95-bookworm", "rust:latest", "FROM without a version"),
        ("rust:1.95-bookworm", "rust", "FROM without a version"),
        (" --locked", "", "without --locked"),
        (" --no-install-recommends", "", "what was not asked for"),
        ("rm -rf /var/lib/apt/lists/*", "true", "leaves its lists behind"),
        ("WORKDIR /src", "ENV TOKEN=x", "a secret"),
    ] {
        let broken = whole.replace(from, to);
        assert_ne!(broken, whole, "{from:?} stands in the Dockerfile");
        let breaches = image_breaches(&broken).join("\n");
        assert!(breaches.contains(said), "{from:?} -> {to:?}: {breaches:?}");
    }
    assert_eq!(image_breaches(""), ["no stage"]);
}

/// The lines of a block-style YAML file as `path.to.key=value`; a list's items are `path.to.list[]=value`.
/// Enough for the compose file, which is written in that style alone; anything else is an error.
fn flattened(text: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut out = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        open.retain(|(there, _)| *there < indent);
        let path = |last: &str| open.iter().map(|(_, key)| key.as_str()).chain([last]).collect::<Vec<_>>().join(".");
        if let Some(item) = content.strip_prefix("- ") {
            let list = open.last().map_or("", |(_, key)| key.as_str());
            let parents: Vec<&str> = open.iter().rev().skip(1).rev().map(|(_, key)| key.as_str()).collect();
            let list = parents.into_iter().chain([list]).collect::<Vec<_>>().join(".");
            out.push(format!("{list}[]={}", item.trim_matches('"')));
            continue;
        }
        let (key, value) = content.split_once(':').ok_or_else(|| format!("no key: {line}"))?;
        if value.contains(['{', '[', '&', '*', '|', '>']) {
            return Err(format!("not block style: {line}"));
        }
        let value = value.trim().trim_matches('"');
        if value.is_empty() {
            open.push((indent, key.to_owned()));
        } else {
            out.push(format!("{}={value}", path(key)));
        }
    }
    Ok(out)
}

fn compose_breaches(text: &str) -> Vec<String> {
    let lines = match flattened(text) {
        Ok(lines) => lines,
        Err(error) => return vec![error],
    };
    let mut breaches = Vec::new();
    for wanted in [
        "read_only=true",
        "cap_drop[]=ALL",
        "security_opt[]=no-new-privileges:true",
        "expose[]=8080",
        "ports[]=8443:8443",
        "volumes[]=watchpost-data:/data",
    ] {
        if !lines.iter().any(|line| line == &format!("services.watchpost.{wanted}")) {
            breaches.push(format!("the service does not say {wanted}"));
        }
    }
    let unwanted = lines.iter().filter(|line| {
        let published = line.starts_with("services.watchpost.ports[]=") && !line.ends_with("=8443:8443");
        let key = line.split(['=', '[']).next().unwrap_or_default();
        published
            || ["privileged", "cap_add", "network_mode", "pid", "user"]
                .iter()
                .any(|bad| key.ends_with(&format!(".{bad}")))
    });
    breaches.extend(unwanted.map(|line| format!("the service says {line}")));
    breaches
}

#[test]
fn the_compose_file_opens_only_tls_to_the_world_and_takes_no_privilege() {
    let breaches = compose_breaches(&read("docker-compose.yml"));
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_rule_of_the_compose_file_fires() {
    let whole = read("docker-compose.yml");
    for (from, to, said) in [
        ("read_only: true", "read_only: false", "does not say read_only=true"),
        ("      - ALL\n", "      - NET_RAW\n", "does not say cap_drop[]=ALL"),
        ("no-new-privileges:true", "seccomp:unconfined", "does not say security_opt"),
        ("- \"8080\"", "- \"9090\"", "does not say expose[]=8080"),
        ("- \"8443:8443\"", "- \"8443:8443\"\n      - \"8080:8080\"", "says services.watchpost.ports[]=8080:8080"),
        ("watchpost-data:/data", "./data:/data", "does not say volumes"),
        ("build: .", "build: .\n    privileged: true", "says services.watchpost.privileged=true"),
        ("build: .", "build: .\n    cap_add:\n      - NET_ADMIN", "says services.watchpost.cap_add[]=NET_ADMIN"),
        ("build: .", "build: .\n    user: root", "says services.watchpost.user=root"),
        ("build: .", "build: {context: .}", "not block style"),
    ] {
        let broken = whole.replace(from, to);
        assert_ne!(broken, whole, "{from:?} stands in the compose file");
        let breaches = compose_breaches(&broken).join("\n");
        assert!(breaches.contains(said), "{from:?} -> {to:?}: {breaches:?}");
    }
}

#[test]
fn what_may_be_secret_or_large_stays_out_of_the_build() {
    let ignored = read(".dockerignore");
    for entry in [".git", "target", "data"] {
        assert!(ignored.lines().any(|line| line == entry), "{entry}");
    }
}
