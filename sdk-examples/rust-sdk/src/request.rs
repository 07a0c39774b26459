use crate::json::{self, Json};
use std::borrow::Cow;
use std::ops::Range;

/// An event. One that no HTTP client sent is a request all the same: an invocation by name is `POST /invoke`, with the
/// caller's bytes as its body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    head: String,
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    body: Vec<u8>,
}

const OWN: &str = "Execgate-";

impl Request {
    /// Reads the first request message of a pipeline; `None` when there is no whole one. The second part is what
    /// follows it.
    pub fn read(pipeline: &[u8]) -> Option<(Request, &[u8])> {
        let read = Request::read_message(pipeline)?;
        read.0.own("Invocation-Id")?;
        Some(read)
    }

    /// The same of any request message, as those of a queue's batch are.
    pub(crate) fn read_message(pipeline: &[u8]) -> Option<(Request, &[u8])> {
        let end = head_size(pipeline)?;
        // Values are octets (RFC 9110 section 5.5), so a client's may be no UTF-8.
        let head = String::from_utf8_lossy(&pipeline[..end]).into_owned();
        let mut request = Request {
            fields: Vec::with_capacity(16),
            ..Request::default()
        };
        request.read_head(&head)?;
        request.head = head;
        let size = match request.header("Content-Length") {
            Some(text) => text.parse().ok()?,
            None => 0,
        };
        let rest = &pipeline[end..];
        if size > rest.len() {
            return None;
        }
        request.body = rest[..size].to_vec();
        Some((request, &rest[size..]))
    }

    fn read_head(&mut self, head: &str) -> Option<()> {
        let (start, mut at) = line_at(head, 0)?;
        let blank = start.find(' ')?;
        let last = start.rfind(' ').filter(|last| *last > blank)?;
        self.method = 0..blank;
        self.target = blank + 1..last;
        loop {
            let (line, next) = line_at(head, at)?;
            if line.is_empty() {
                return Some(());
            }
            let colon = line
                .bytes()
                .position(|c| c == b':')
                .filter(|colon| *colon > 0)?;
            let value = line[colon + 1..].trim_start_matches(' ');
            let from = at + line.len() - value.len();
            self.fields.push((at..at + colon, from..from + value.len()));
            at = next;
        }
    }

    /// A field of the gateway's, by what follows `Execgate-`.
    fn own(&self, name: &str) -> Option<&str> {
        let head = self.head.as_bytes();
        self.fields
            .iter()
            .find(|(field, _)| {
                field.len() == OWN.len() + name.len()
                    && head[field.start..field.start + OWN.len()]
                        .eq_ignore_ascii_case(OWN.as_bytes())
                    && head[field.start + OWN.len()..field.end]
                        .eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|(_, value)| &self.head[value.clone()])
    }

    /// The invocation's id.
    pub fn id(&self) -> &str {
        self.own("Invocation-Id").unwrap_or("")
    }

    /// What kind of event this is: `http`, `authorizer`, `invoke`, `queue`, `schedule`, `websocket`, or what a newer gateway knows.
    pub fn trigger(&self) -> &str {
        self.own("Trigger").unwrap_or("")
    }

    /// As the blueprint spells it: `GET /items/{id}`.
    pub fn route(&self) -> &str {
        self.own("Route").unwrap_or("")
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.head[self.method.clone()]
    }

    /// As the client sent it: `/a%20b?x=1`.
    pub fn target(&self) -> &str {
        &self.head[self.target.clone()]
    }

    /// Decoded: `/a b`.
    pub fn path(&self) -> Cow<'_, str> {
        let path = self.target().split('?').next().unwrap_or("");
        if path.contains('%') {
            Cow::Owned(decode(path, false))
        } else {
            Cow::Borrowed(path)
        }
    }

    /// Raw, without the question mark; empty when there is none.
    pub fn raw_query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of `?name=value`, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        form_value(self.raw_query(), name)
    }

    /// The value of `{name}` or `{name+}` in the route, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_value(self.own("Parameters")?, name)
    }

    /// A field's first value. Names match in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| self.head[field.clone()].eq_ignore_ascii_case(name))
            .map(|(_, value)| &self.head[value.clone()])
    }

    /// All fields in order, the gateway's own (`Execgate-...`) first.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(move |(name, value)| (&self.head[name.clone()], &self.head[value.clone()]))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Gives the body away.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body as text; the error says where it is none.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.body)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Json, json::ParseError> {
        Json::parse(&String::from_utf8_lossy(&self.body))
    }

    /// What is known of who sends the request, an object; `None` when the route has no guard.
    pub fn claims(&self) -> Option<Json> {
        Json::parse(self.own("Claims")?).ok()
    }

    /// Of an event of a schedule, the moment that is meant: `2026-03-29T01:00:00Z`.
    pub fn scheduled_time(&self) -> Option<&str> {
        self.own("Scheduled-Time")
    }

    /// The id of the WebSocket connection that the event is of; empty of other events.
    pub fn connection(&self) -> &str {
        self.own("Connection-Id").unwrap_or("")
    }

    /// The groups that this connection is in, or was in when it ended.
    pub fn groups(&self) -> Vec<String> {
        let list = self.own("Groups").unwrap_or("");
        list.split(',')
            .filter(|name| !name.is_empty())
            .map(|name| decode(name, false))
            .collect()
    }

    /// What the client sees as X-Request-Id.
    pub fn request_id(&self) -> &str {
        self.own("Request-Id").unwrap_or("")
    }

    /// The client's address; empty when no client sent this.
    pub fn client_address(&self) -> &str {
        self.own("Client-Address").unwrap_or("")
    }

    /// The subject of the client's certificate (RFC 2253), when it showed one that was verified.
    pub fn client_certificate(&self) -> Option<&str> {
        self.own("Client-Certificate")
    }

    /// The caller's context (JSON) of an invocation by name.
    pub fn client_context(&self) -> Option<&str> {
        self.own("Client-Context")
    }

    /// The trace that this is a part of (W3C Trace Context).
    pub fn traceparent(&self) -> Option<&str> {
        self.header("traceparent")
    }

    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.own("Deadline")?.parse().ok()
    }
}

/// Up to and with the blank line.
fn head_size(pipeline: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let size = pipeline[at..].iter().position(|c| *c == b'\n')? + 1;
        at += size;
        if size == 2 && pipeline[at - 2] == b'\r' {
            return Some(at);
        }
    }
}

/// The line that begins there, without its end, and where the next begins.
fn line_at(head: &str, at: usize) -> Option<(&str, usize)> {
    let size = head.as_bytes()[at..].iter().position(|c| *c == b'\n')?;
    let line = &head[at..at + size];
    Some((line.strip_suffix('\r')?, at + size + 1))
}

/// Percent-encodes all that is not unreserved (RFC 3986 section 2.3).
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for c in text.bytes() {
        if c.is_ascii_alphanumeric() || b"-._~".contains(&c) {
            out.push(c as char);
        } else {
            out += &format!("%{:02X}", c);
        }
    }
    out
}

pub(crate) fn form_pairs(form: &str) -> Vec<(String, String)> {
    form.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name || decode(key, true) == name)
        .map(|(_, value)| decode(value, true))
}

/// Percent-decoding; bytes that are no UTF-8 become replacement characters.
pub(crate) fn decode(text: &str, is_form: bool) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let decoded = match bytes[at] {
            b'%' => hex_pair(bytes.get(at + 1..at + 3)),
            b'+' if is_form => Some(b' '),
            _ => None,
        };
        at += match (bytes[at], decoded) {
            (b'%', Some(_)) => 3,
            _ => 1,
        };
        out.push(decoded.unwrap_or_else(|| bytes[at - 1]));
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let pair = pair?;
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = b"POST /a%20b/7?x=1&y=%C3%A9+z HTTP/1.1\r\nExecgate-Invocation-Id: 1\r\nExecgate-Parameters: id=a%2Fb+c\r\n\
        Execgate-Deadline: 5\r\nHost: a\r\nX-Empty:\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 2\r\n\r\nhiGET";

    #[test]
    fn everything_of_an_event() {
        let (r, rest) = Request::read(EVENT).unwrap();
        assert_eq!(
            (r.id(), r.method(), r.target()),
            ("1", "POST", "/a%20b/7?x=1&y=%C3%A9+z")
        );
        assert_eq!(
            (r.path().as_ref(), r.raw_query()),
            ("/a b/7", "x=1&y=%C3%A9+z")
        );
        assert_eq!(r.query("y").as_deref(), Some("é z"));
        assert_eq!(r.query("z"), None);
        assert_eq!(r.parameter("id").as_deref(), Some("a/b c"));
        assert_eq!(
            (r.header("HOST"), r.header("x-empty"), r.header("none")),
            (Some("a"), Some(""), None)
        );
        assert_eq!(
            r.headers()
                .filter(|(name, _)| name.eq_ignore_ascii_case("x-two"))
                .count(),
            2
        );
        assert_eq!(
            (r.body(), r.deadline_ms(), rest),
            (&b"hi"[..], Some(5), &b"GET"[..])
        );
    }

    #[test]
    fn what_is_no_event() {
        for end in 0..EVENT.len() - 3 {
            assert!(Request::read(&EVENT[..end]).is_none(), "{} bytes", end);
        }
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET\r\nExecgate-Invocation-Id: 1\r\n\r\n",
            "G / H\r\n:\r\n\r\n",
            "G / H\r\nExecgate-Invocation-Id: 1\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert!(Request::read(text.as_bytes()).is_none(), "{:?}", text);
        }
    }

    #[test]
    fn octets_and_broken_escapes_do_no_harm() {
        let (r, _) = Request::read(
            b"GET /%zz%4?%=% HTTP/1.1\r\nExecgate-Invocation-Id: 1\r\nX: \xff\r\n\r\n",
        )
        .unwrap();
        assert_eq!(
            (r.path().as_ref(), r.header("x")),
            ("/%zz%4", Some("\u{fffd}"))
        );
        assert_eq!(r.query("%").as_deref(), Some("%"));
    }
}
