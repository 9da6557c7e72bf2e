//! What a caller sends and what edits hang on: JSON bodies, numbers in paths, `ETag` and `If-Match`.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// No request of ours is longer than a few fields.
const BODY_BYTES_MAX: usize = 64 << 10;

/// A JSON body. Anything else is refused by its type, so that a form of another page cannot pass for one.
#[derive(Clone, Copy, Debug)]
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "expected a body of content-type application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let Ok(bytes) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
            let detail = format!("the body could not be read, or is longer than {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        };
        parse(&bytes).map(Self)
    }
}

/// serde_json's own words: they name the place and what was expected, and repeat no value.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        // A message about data may repeat the text it met, which may be a password in the wrong field.
        serde_json::error::Category::Data => {
            let text = error.to_string();
            let shown = if text.starts_with("unknown field")
                || text.starts_with("missing field")
                || text.starts_with("unknown variant")
            {
                text
            } else {
                format!("a value has the wrong type at line {} column {}", error.line(), error.column())
            };
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, shown)
        }
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            format!("not JSON: something is wrong at line {} column {}", error.line(), error.column()),
        ),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Numbers in the path. What is no number is not there.
#[derive(Clone, Copy, Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Problem::new(StatusCode::NOT_FOUND, "not found: the path expects a number")),
        }
    }
}

/// The mark of a version.
#[must_use]
pub fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// The version an edit was made from; `None` where the caller does not say, or says any will do.
pub fn seen_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let stale = || Problem::new(StatusCode::PRECONDITION_FAILED, "If-Match: expected the ETag of an earlier answer");
    version.map(Some).ok_or_else(stale)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[allow(dead_code, reason = "only its presence counts")]
        name: String,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named_and_its_values_are_not_repeated() {
        for (text, status, part) in [
            ("{\"name\":", 400, "line 1 column 8"),
            ("{\"name\":\"a\",\"nmae\":\"hush\"}", 422, "unknown field `nmae`"),
            ("{}", 422, "missing field `name`"),
            ("{\"name\":[\"hush\"]}", 422, "wrong type at line 1"),
            ("\"hush\"", 422, "wrong type at line 1"),
        ] {
            let problem = parse::<Body>(text.as_bytes()).expect_err(text);
            assert_eq!(problem.status, status, "{text}: {problem:?}");
            assert!(problem.detail.contains(part) && !problem.detail.contains("hush"), "{text}: {problem:?}");
        }
    }

    #[test]
    fn an_edit_names_the_version_it_was_made_from() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_str(text).expect("a header"));
            seen_version(&headers)
        };
        assert_eq!(seen_version(&HeaderMap::new()).expect("optional"), None);
        assert_eq!(with("*").expect("any"), None);
        assert_eq!(with(etag(7).to_str().expect("text")).expect("ours"), Some(7));
        for wrong in ["7", "W/\"7\"", "\"x\"", ""] {
            assert_eq!(with(wrong).expect_err(wrong).status, 412);
        }
    }

    #[test]
    fn only_json_is_json() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonp", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
