//! Receipts in protobuf's JSON form, character for character as the Python client writes them.

use std::fmt::Display;
use std::io;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;

/// Whether protobuf's JSON form leaves a value out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// int64, which is text in JSON.
pub(crate) mod int64 {
    use super::{Deserializer, Serializer, from_text};

    #[allow(clippy::trivially_copy_pass_by_ref)] // the signature that serde asks for
    pub(crate) fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        Ok(from_text(deserializer)?.unwrap_or_default())
    }
}

/// An int64 or a duration that may be unset; both are text in JSON.
pub(crate) mod optional {
    use super::{Deserializer, Display, FromStr, Serializer, from_text};

    #[allow(clippy::ref_option)] // the signature that serde asks for
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        from_text(deserializer)
    }
}

fn from_text<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map(Some).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

/// Writes a value as Python's `json.dumps` does.
pub(crate) fn dumps<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut written = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut written, Python))?;
    String::from_utf8(written).map_err(serde::ser::Error::custom)
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        for character in text.chars() {
            if (' '..='~').contains(&character) {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    /// Rust and Python turn to exponents at the same sizes, and write them as 1e-5 and 1e-05.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let text = format!("{value:?}");
        match text.split_once('e') {
            None => writer.write_all(text.as_bytes()),
            Some((digits, exponent)) => {
                let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
                write!(writer, "{digits}e{sign}{size:0>2}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::dumps;

    #[test]
    fn text_and_numbers_are_as_in_python() {
        let written =
            dumps(&serde_json::json!(["ü\u{1F600}\n\"\u{7f}", 4.0, 0.1, 1e-5, 1.5e16, 0.0001, 25])).unwrap();
        assert_eq!(written, r#"["\u00fc\ud83d\ude00\n\"\u007f", 4.0, 0.1, 1e-05, 1.5e+16, 0.0001, 25]"#);
    }
}
