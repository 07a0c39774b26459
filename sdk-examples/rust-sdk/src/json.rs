//! As much JSON (RFC 8259) as claims and small bodies need. Programs with more of it bring a library of their own.
//!
//! ```
//! use execgate::json::Json;
//! let order = Json::parse(r#"{"item": "teapot", "count": 2, "gift": true}"#).unwrap();
//! assert_eq!(order["item"].as_str(), Some("teapot"));
//! assert_eq!(order["count"].as_f64(), Some(2.0));
//! assert!(order["none"].is_null());
//! let answer = Json::object([("id", Json::from(7)), ("item", order["item"].clone())]);
//! assert_eq!(answer.to_string(), r#"{"id":7,"item":"teapot"}"#);
//! ```

use std::fmt;
use std::ops::Index;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// null
    Null,
    /// true and false
    Bool(bool),
    /// A number
    Number(f64),
    /// A string
    Text(String),
    /// An array
    List(Vec<Json>),
    /// An object, its members in order
    Object(Vec<(String, Json)>),
}

/// Where a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// How many bytes were good.
    pub offset: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is no JSON at byte {}", self.offset)
    }
}

impl std::error::Error for ParseError {}

const DEPTH: usize = 64;
const NULL: Json = Json::Null;

impl Json {
    /// Reads a text that holds one value, nested at most 64 deep.
    pub fn parse(text: &str) -> Result<Json, ParseError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(DEPTH).filter(|_| {
            reader.skip();
            reader.at == text.len()
        });
        value.ok_or(ParseError { offset: reader.at })
    }

    /// An object of these members.
    pub fn object<N: Into<String>>(members: impl IntoIterator<Item = (N, Json)>) -> Json {
        let named = members
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Json::Object(named.collect())
    }

    /// A member; `None` also when this is no object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Json::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of true or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The values of an array.
    pub fn as_list(&self) -> Option<&[Json]> {
        match self {
            Json::List(values) => Some(values),
            _ => None,
        }
    }

    /// True for null.
    pub fn is_null(&self) -> bool {
        *self == Json::Null
    }
}

impl Index<&str> for Json {
    type Output = Json;
    /// Null when there is no such member.
    fn index(&self, name: &str) -> &Json {
        self.get(name).unwrap_or(&NULL)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_string())
    }
}
impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::Text(text)
    }
}
impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}
impl From<f64> for Json {
    fn from(number: f64) -> Json {
        Json::Number(number)
    }
}
impl From<i32> for Json {
    fn from(number: i32) -> Json {
        Json::Number(number.into())
    }
}
impl From<u32> for Json {
    fn from(number: u32) -> Json {
        Json::Number(number.into())
    }
}
impl From<u64> for Json {
    /// Exact up to 2^53, as JSON's numbers are (RFC 8259 section 6).
    fn from(number: u64) -> Json {
        Json::Number(number as f64)
    }
}
impl From<usize> for Json {
    /// Exact up to 2^53.
    fn from(number: usize) -> Json {
        Json::Number(number as f64)
    }
}
impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Json {
        Json::List(values.into_iter().map(Into::into).collect())
    }
}

// --- writing ---

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{}", value),
            // There is no other way to say these (RFC 8259 section 6).
            Json::Number(number) if !number.is_finite() => f.write_str("null"),
            Json::Number(number) => write!(f, "{}", number),
            Json::Text(text) => write_text(f, text),
            Json::List(values) => write_all(f, "[]", values, |f, value| write!(f, "{}", value)),
            Json::Object(members) => write_all(f, "{}", members, |f, (name, value)| {
                write_text(f, name)?;
                write!(f, ":{}", value)
            }),
        }
    }
}

fn write_all<T>(
    f: &mut fmt::Formatter<'_>,
    brackets: &str,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(&brackets[..1])?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        write(f, item)?;
    }
    f.write_str(&brackets[1..])
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        f.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            b'\n' => f.write_str("\\n")?,
            c @ (b'"' | b'\\') => write!(f, "\\{}", c as char)?,
            c => write!(f, "\\u{:04x}", c)?,
        }
        rest = &rest[at + 1..];
    }
    f.write_str(rest)?;
    f.write_str("\"")
}

// --- reading ---

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip(&mut self) {
        let blank = |c: &&u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n');
        self.at += self.rest().iter().take_while(blank).count();
    }

    fn take(&mut self, text: &str) -> Option<()> {
        let found = self.rest().starts_with(text.as_bytes());
        self.at += if found { text.len() } else { 0 };
        Some(()).filter(|()| found)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.skip();
        match *self.rest().first()? {
            b'n' => self.take("null").map(|()| Json::Null),
            b't' => self.take("true").map(|()| Json::Bool(true)),
            b'f' => self.take("false").map(|()| Json::Bool(false)),
            b'"' => self.string().map(Json::Text),
            b'[' if depth > 0 => self.items(']', |r| r.value(depth - 1)).map(Json::List),
            b'{' if depth > 0 => self.items('}', |r| r.member(depth - 1)).map(Json::Object),
            _ => self.number(),
        }
    }

    fn items<T>(&mut self, end: char, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let (mut items, end) = (Vec::new(), end.to_string());
        self.at += 1;
        self.skip();
        if self.take(&end).is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.skip();
            if self.take(&end).is_some() {
                return Some(items);
            }
            self.take(",")?;
        }
    }

    fn member(&mut self, depth: usize) -> Option<(String, Json)> {
        self.skip();
        let name = self.string()?;
        self.skip();
        self.take(":")?;
        Some((name, self.value(depth)?))
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        self.take("\"")?;
        loop {
            let plain = self
                .rest()
                .iter()
                .take_while(|c| **c >= b' ' && **c != b'"' && **c != b'\\');
            let end = self.at + plain.count();
            text.push_str(&self.text[self.at..end]);
            self.at = end;
            if self.take("\"").is_some() {
                return Some(text);
            }
            self.take("\\")?;
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let c = *self.rest().first()?;
        self.at += 1;
        Some(match c {
            b'"' | b'\\' | b'/' => c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit().and_then(|unit| self.scalar(unit)),
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let valid = digits.bytes().all(|c| c.is_ascii_hexdigit());
        self.at += if valid { 4 } else { 0 };
        u32::from_str_radix(digits, 16).ok().filter(|_| valid)
    }

    /// One half of a surrogate pair without the other is no character.
    fn scalar(&mut self, unit: u32) -> Option<char> {
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        self.take("\\u")?;
        let low = self.unit().filter(|low| (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self
            .rest()
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count();
        self.at += count;
        Some(count).filter(|count| *count > 0)
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let _ = self.take("-");
        let leading_zero = self.rest().first() == Some(&b'0');
        if self.digits()? > 1 && leading_zero {
            return None;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            self.digits()?;
        }
        self.text[start..self.at].parse().ok().map(Json::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_round_trip() {
        for text in [
            "null",
            "true",
            "[]",
            "{}",
            "-1.5",
            "12345678901",
            r#"{"a":[1,2,{"b":"c"}],"":""}"#,
            r#""é \"\\\n\u0001""#,
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
        let spaced = Json::parse(" { \"a\" : [ 1 , 2e2 ] }\n").unwrap();
        assert_eq!(spaced.to_string(), r#"{"a":[1,200]}"#);
        assert_eq!(
            Json::parse(r#""\ud83d\ude00\/""#).unwrap().as_str(),
            Some("😀/")
        );
    }

    #[test]
    fn what_is_no_json() {
        for text in [
            "",
            "nul",
            "tru e",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "1e",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\u12g4\"",
            "\"",
            "[",
            "1 2",
            "'a'",
            "+1",
            "\"\\u+123\"",
        ] {
            assert!(Json::parse(text).is_err(), "{:?}", text);
        }
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
        assert_eq!(Json::parse("[1, x]"), Err(ParseError { offset: 4 }));
    }
}
