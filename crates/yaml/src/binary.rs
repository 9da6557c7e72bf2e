//! Bytes in a file: any text, or `!!binary` base64 for what is no text.
//!
//! For protocols that are not text: what a probe sends over TCP. Everything else is a `String`.

use crate::decode::{Context, Decode};
use crate::encode::Encode;
use crate::node::{Node, Scalar, Style, Value};
use crate::scalar;
use crate::schema::{Schema, Shape};

/// Bytes as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Vec<u8>);

impl Decode for Binary {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Scalar(Scalar { text, style: Style::Binary }) => scalar::from_base64(text).map(Self),
            _ => cx.text(node, "a text or !!binary").map(|text| Self(text.into_bytes())),
        }
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

impl Encode for Binary {
    fn encode(&self) -> Node {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Node::text(text),
            Err(_) => {
                let scalar = Scalar { text: scalar::to_base64(&self.0), style: Style::Binary };
                Node { value: Value::Scalar(scalar), ..Node::null() }
            }
        }
    }
}

impl Schema for Binary {
    fn shape() -> Shape {
        Shape::one("a text or !!binary")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_and_written_as_text_where_they_are_text() {
        let read: Vec<Binary> =
            crate::from_str("a.yml", "[PING, !!binary AAAACATSFi8=, !!binary aGk=]").expect("bytes");
        assert_eq!(
            read,
            [Binary(b"PING".to_vec()), Binary(vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), Binary(b"hi".to_vec())]
        );
        let written = crate::to_string(&read);
        assert_eq!(written, "- PING\n- !!binary \"AAAACATSFi8=\"\n- hi\n");
        assert_eq!(crate::from_str("a.yml", &written), Ok(read));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_a_text_is_wanted() {
        let problems = crate::from_str::<String>("a.yml", "!!binary /w==").expect_err("not UTF-8");
        assert_eq!(problems.to_string(), "a.yml:1:1: expected a text, found bytes that are no UTF-8 text");
    }
}
