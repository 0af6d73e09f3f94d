//! Content types, and JSON mode: bodies taken apart into messages and put together again.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use super::{StreamError, StreamLimits, limits::CONTENT_TYPE_MAX_BYTES};

/// The content type of a stream for which none was given.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";
const JSON: &str = "application/json";
const TEXT: &str = "text/";

/// How the bytes of a stream are to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages. Stored as their texts with a comma after each.
    Json,
    /// UTF-8, cut anywhere.
    Text,
    /// Anything else.
    Binary,
}

impl Kind {
    pub(super) fn of(content_type: &str) -> Self {
        let essence = essence(content_type);
        if essence.eq_ignore_ascii_case(JSON) {
            Self::Json
        } else if essence
            .get(..TEXT.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(TEXT))
        {
            Self::Text
        } else {
            Self::Binary
        }
    }

    /// What a reader gets for stored bytes.
    pub(super) fn body(self, stored: Bytes) -> Bytes {
        match self {
            Self::Text | Self::Binary => stored,
            Self::Json => {
                let messages = stored.strip_suffix(b",").unwrap_or(&stored);
                let mut body = BytesMut::with_capacity(messages.len() + 2);
                body.put_u8(b'[');
                body.put_slice(messages);
                body.put_u8(b']');
                body.freeze()
            }
        }
    }
}

/// Type and subtype without parameters; see [`same`].
fn essence(content_type: &str) -> &str {
    content_type
        .split_once(';')
        .map_or(content_type, |(essence, _)| essence)
        .trim()
}

/// Whether two content types are the same but for case and parameters.
pub(super) fn same(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

/// Refuses a content type that can't be one, or is too long to keep.
pub(super) fn check_content_type(content_type: &str) -> Result<(), StreamError> {
    let essence = essence(content_type);
    let mut parts = essence.split('/');
    let token = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic())
        })
    };
    let well_formed = token(parts.next()) && token(parts.next()) && parts.next().is_none();
    if well_formed && content_type.len() <= CONTENT_TYPE_MAX_BYTES {
        Ok(())
    } else {
        Err(StreamError::invalid(format!(
            "the content type must be like text/plain and at most {CONTENT_TYPE_MAX_BYTES} bytes long"
        )))
    }
}

/// The body of an append, checked and in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub(super) content_type: String,
    pub(super) stored: Bytes,
}

impl Payload {
    /// Checks a body against its content type. A JSON array becomes one message per element.
    ///
    /// # Errors
    /// [`StreamError::TooLarge`], or [`StreamError::Invalid`] for what is not JSON or nests too deep.
    pub fn new(
        content_type: impl Into<String>,
        body: Bytes,
        limits: &StreamLimits,
    ) -> Result<Self, StreamError> {
        let content_type = content_type.into();
        check_content_type(&content_type)?;
        if body.len() > limits.append_bytes {
            return Err(StreamError::TooLarge {
                limit: limits.append_bytes,
            });
        }
        let stored = match Kind::of(&content_type) {
            Kind::Json if !body.is_empty() => flatten(&body, limits.json_depth)?,
            Kind::Json | Kind::Text | Kind::Binary => body,
        };
        Ok(Self {
            content_type,
            stored,
        })
    }

    /// One JSON message.
    ///
    /// # Errors
    /// As [`Payload::new`]; also if the value can't be written as JSON.
    pub fn message<T: serde::Serialize>(
        message: &T,
        limits: &StreamLimits,
    ) -> Result<Self, StreamError> {
        // In an array, so that a message that is itself an array stays one message.
        let body = serde_json::to_vec(&[message])
            .map_err(|error| StreamError::invalid(error.to_string()))?;
        Self::new(JSON, body.into(), limits)
    }

    /// Whether nothing would be stored: an empty body or an empty JSON array.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }
}

/// The messages of a body in their own spelling, a comma after each.
fn flatten(body: &[u8], depth_limit: usize) -> Result<Bytes, StreamError> {
    let not_json = |error: serde_json::Error| {
        StreamError::invalid(format!(
            "the body is not JSON ({error}), but the content type says so; correct either"
        ))
    };
    // An array of messages nests one deeper than its messages.
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if depth(body) > depth_limit + usize::from(is_array) {
        return Err(StreamError::invalid(format!(
            "the JSON nests deeper than {depth_limit} levels; flatten it"
        )));
    }
    let messages: Vec<&RawValue> = if is_array {
        serde_json::from_slice(body).map_err(not_json)?
    } else {
        vec![serde_json::from_slice(body).map_err(not_json)?]
    };
    let mut stored = BytesMut::with_capacity(body.len() + 1);
    for message in messages {
        stored.put_slice(message.get().as_bytes());
        stored.put_u8(b',');
    }
    Ok(stored.freeze())
}

/// How deep brackets nest outside strings; exact for what is JSON.
pub(crate) fn depth(json: &[u8]) -> usize {
    let mut nesting = Nesting::default();
    json.iter()
        .map(|byte| nesting.after(*byte))
        .max()
        .unwrap_or(0)
}

/// Whether stored messages, cut here, are cut between two of them.
pub(super) fn ends_a_message(stored: &[u8]) -> bool {
    let mut nesting = Nesting::default();
    stored.iter().for_each(|byte| {
        nesting.after(*byte);
    });
    stored.is_empty() || (stored.ends_with(b",") && nesting.open == 0 && !nesting.in_string)
}

/// Follows the brackets and strings of JSON.
#[derive(Default)]
struct Nesting {
    open: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// How many brackets are open after this byte.
    fn after(&mut self, byte: u8) -> usize {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'[' | b'{' if !self.in_string => self.open += 1,
            b']' | b'}' if !self.in_string => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(body: &str) -> Result<String, String> {
        flatten(body.as_bytes(), 4)
            .map(|stored| String::from_utf8(stored.to_vec()).expect("UTF-8"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_level_of_an_array_is_taken_apart() {
        assert_eq!(stored(r#" {"a" : 1} "#), Ok(r#"{"a" : 1},"#.to_owned()));
        assert_eq!(stored("[1, [2,3] ,null]"), Ok("1,[2,3],null,".to_owned()));
        assert_eq!(stored("[[[1]]]"), Ok("[[1]],".to_owned()));
        assert_eq!(stored("[]"), Ok(String::new()));
        assert_eq!(stored(r#""[ \" {""#), Ok(r#""[ \" {","#.to_owned()));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in ["", "{", "[1,]", "1 2", "[1],", "nul", "\"\u{1}\"", "[1][2]"] {
            assert!(
                stored(bad).is_err_and(|error| error.contains("not JSON")),
                "{bad}"
            );
        }
        assert!(flatten(b"\"\xff\"", 4).is_err());
    }

    #[test]
    fn deep_json_is_refused_before_anything_recurses() {
        assert!(
            stored("[[[[[1]]]]]").is_ok(),
            "four levels within the array"
        );
        assert!(stored(r#"{"a":[[[1]]]}"#).is_ok());
        assert!(stored(r#"{"a":[[[[1]]]]}"#).is_err_and(|error| error.contains("nests deeper")));
        assert!(stored(&"[".repeat(1_000_000)).is_err());
        assert!(
            stored(r#""[[[[[[[[""#).is_ok(),
            "brackets in a string are text"
        );
    }

    #[test]
    fn messages_are_told_apart_from_their_insides() {
        let stored = br#"{"a":"x,","b":[1,2]},"\",",7,"#;
        let cuts: Vec<usize> = (0..=stored.len())
            .filter(|end| ends_a_message(&stored[..*end]))
            .collect();
        assert_eq!(cuts, [0, 21, 27, 29]);
    }

    #[test]
    fn messages_come_back_as_an_array() {
        assert_eq!(Kind::Json.body(Bytes::from_static(b"1,{},")), "[1,{}]");
        assert_eq!(Kind::Json.body(Bytes::new()), "[]");
        assert_eq!(Kind::Text.body(Bytes::from_static(b"a,")), "a,");
    }
}
