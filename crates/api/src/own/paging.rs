//! Lists a page at a time: `?limit=50&cursor=…`, answered with `{"items": […], "next": "…"}`.
//!
//! A cursor is the number of the last row seen. It is text to its readers, so that a list may one day need more.

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Rows in a page where the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// More are never sent at once; the caller is told.
const LIMIT_MAX: u32 = 500;

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Rows in the answer, 1 to 500. Default: 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The number of rows, checked.
    pub fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit)
    }

    /// The last row seen, checked.
    pub fn after(&self) -> Result<Option<i64>, Problem> {
        after(self.cursor.as_deref())
    }
}

/// The number of rows a caller asked for.
pub fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(limit) => {
            let detail = format!("limit={limit}: expected 1 to {LIMIT_MAX}");
            Err(Problem::of_field(StatusCode::BAD_REQUEST, "limit", detail))
        }
    }
}

/// The row a cursor stands for.
pub fn after(cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    let parse = |text: &str| {
        text.parse::<i64>().map_err(|_| {
            Problem::of_field(StatusCode::BAD_REQUEST, "cursor", "cursor: expected the `next` of another page")
        })
    };
    cursor.map(parse).transpose()
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Hand it back as `cursor` for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A page from rows of another shape.
    pub fn from_rows<R>(rows: Vec<R>, next: Option<i64>, view: impl Fn(R) -> T) -> Self {
        Self { items: rows.into_iter().map(view).collect(), next: next.map(|row| row.to_string()) }
    }
}

/// The query of a request; what is wrong with it becomes a problem that names the field.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(refusal) => Err(Problem::new(StatusCode::BAD_REQUEST, refusal.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_bounds_and_a_default() {
        for (given, expected) in
            [(None, Some(50)), (Some(1), Some(1)), (Some(500), Some(500)), (Some(0), None), (Some(501), None)]
        {
            assert_eq!(limit(given).ok(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_cursor_is_handed_back_as_it_came() {
        let list = List::from_rows(vec![1_i64, 2], Some(2), |row| row);
        assert_eq!(after(list.next.as_deref()).expect("it is ours"), Some(2));
        assert_eq!(after(None).expect("the first page"), None);
        assert_eq!(after(Some("2'--")).expect_err("not ours").field, Some("cursor"));
    }
}
