//! The parameters of Prometheus's API: from the address, and from the form a POST carries.
//!
//! Promise: what cannot be read is answered with the words Prometheus has for it.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use model::storage::TimeRange;
use model::time::Timestamp;

use crate::error::ApiError;

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 10 << 20;
/// The texts with which client libraries say "from the beginning" and "to the end".
const FIRST_TIME: &str = "-292273086-05-16T16:47:06Z";
const LAST_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// What a request says besides its path.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut pairs = Vec::new();
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.trim_start().starts_with("application/x-www-form-urlencoded"));
        if parts.method == Method::POST && is_form {
            let form = to_bytes(body, FORM_BYTES_MAX).await;
            let form = form.map_err(|error| ApiError::bad_data(format!("error parsing form values: {error}")))?;
            pairs.extend(form_urlencoded::parse(&form).into_owned());
        }
        // What the form says counts more.
        pairs.extend(form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned());
        Ok(Self { pairs, headers: parts.headers })
    }
}

impl Params {
    /// The value of a parameter; empty where it is not given, as for Prometheus.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// A time, or `default` where none is given.
    pub(crate) fn time(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => time(text).ok_or_else(|| invalid(name, format!("cannot parse {text:?} to a valid timestamp"))),
        }
    }

    /// `start` and `end`; all of time where they are not given.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        let start = self.time("start", Timestamp::MIN)?;
        let end = self.time("end", Timestamp::MAX)?;
        if end < start {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        Ok(TimeRange::new(start, end))
    }

    /// A duration in milliseconds, which may be negative.
    pub(crate) fn millis(&self, name: &str) -> Result<i64, ApiError> {
        let text = self.get(name);
        millis(text).map_err(|reason| invalid(name, reason))
    }

    /// A duration; `None` where none is given.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        if self.get(name).is_empty() {
            return Ok(None);
        }
        let millis = self.millis(name)?;
        Ok(Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0))))
    }

    /// `limit`; 0 where none is given.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let limit: i64 =
            text.parse().map_err(|_| invalid("limit", format!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
        usize::try_from(limit).map_err(|_| invalid("limit", "limit must be non-negative"))
    }

    /// A number that is `-1` where none is given.
    pub(crate) fn number(&self, name: &str) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(-1),
            text => text.parse().map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
        }
    }
}

/// The answer to a parameter that cannot be used.
pub(crate) fn invalid(name: &str, reason: impl std::fmt::Display) -> ApiError {
    ApiError::bad_data(format!("invalid parameter {name:?}: {reason}"))
}

/// Unix seconds with decimals, or RFC 3339.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    match text {
        FIRST_TIME => return Some(Timestamp::MIN),
        LAST_TIME => return Some(Timestamp::MAX),
        _ => {}
    }
    if let Some(seconds) = number(text) {
        let millis = (seconds * 1000.0).round();
        // Beyond what milliseconds can count is no time; the cast below would silently stop at the end.
        return (millis.abs() < i64::MAX as f64).then_some(Timestamp(millis as i64));
    }
    // Only the form with a zone: a bare date would mean another day elsewhere.
    if !text.contains(['T', 't']) {
        return None;
    }
    Timestamp::parse(text)
}

/// Seconds with decimals, or a duration as in a query.
fn millis(text: &str) -> Result<i64, String> {
    let bad = || format!("cannot parse {text:?} to a valid duration");
    if let Some(seconds) = number(text) {
        let millis = seconds * 1000.0;
        // Prometheus counts in nanoseconds.
        if !(seconds * 1e9).is_finite() || (seconds * 1e9).abs() >= i64::MAX as f64 {
            return Err(format!("{}. It overflows int64", bad()));
        }
        return Ok(millis as i64);
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let duration = model::time::parse_duration(rest).map_err(|_| bad())?;
    let millis = i64::try_from(duration.as_millis()).map_err(|_| bad())?;
    if negative { Err(bad()) } else { Ok(millis) }
}

/// A number as Go reads it, finite.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(time("123.4567"), Some(Timestamp(123_457)));
        assert_eq!(time("-1"), Some(Timestamp(-1000)));
        assert_eq!(time("2015-06-03T13:21:58.555Z"), Some(Timestamp(1_433_337_718_555)));
        assert_eq!(time("2015-06-03T14:21:58.555+01:00"), Some(Timestamp(1_433_337_718_555)));
        assert_eq!(time(FIRST_TIME), Some(Timestamp::MIN));
        assert_eq!(time(LAST_TIME), Some(Timestamp::MAX));
        for text in ["", "30s", "NaN", "Inf", "2015-06-03", "1e300", "foo"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_go_with_units() {
        assert_eq!(millis("15"), Ok(15_000));
        assert_eq!(millis("0.5"), Ok(500));
        assert_eq!(millis("-3"), Ok(-3_000));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("foo"), Err("cannot parse \"foo\" to a valid duration".to_owned()));
        assert_eq!(millis("1e100"), Err("cannot parse \"1e100\" to a valid duration. It overflows int64".to_owned()));
        assert!(millis("").is_err() && millis("-5m").is_err());
    }

    #[test]
    fn a_form_counts_more_than_the_address_and_lists_are_joined() {
        let params = Params {
            pairs: [("a", "form"), ("m[]", "1"), ("a", "address"), ("m[]", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            headers: HeaderMap::new(),
        };
        assert_eq!(params.get("a"), "form");
        assert_eq!(params.all("m[]"), ["1", "2"]);
        assert_eq!(params.get("none"), "");
    }
}
