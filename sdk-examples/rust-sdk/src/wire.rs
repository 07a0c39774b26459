use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::unix::io::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// What is read into memory of one reply: as many events as may come at once, each with a body in memory.
const MAX_REPLY: usize = 1 << 31;

/// Where the runtime API listens; the Unix socket is the quicker way in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Address {
    pub socket: Option<String>,
    pub api: Option<String>,
}

enum Connection {
    Local(UnixStream),
    Tcp(TcpStream),
}

impl Address {
    pub fn from_environment() -> Address {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Address {
            socket: variable("EXECGATE_RUNTIME_SOCKET"),
            api: variable("EXECGATE_RUNTIME_API"),
        }
    }

    pub fn open(&self) -> io::Result<Wire> {
        if let Some(path) = &self.socket {
            return Ok(Wire::new(Connection::Local(UnixStream::connect(path)?)));
        }
        let api = self.api.as_deref().ok_or_else(|| {
            let text = "neither EXECGATE_RUNTIME_SOCKET nor EXECGATE_RUNTIME_API is set; does execgate run this?";
            io::Error::new(io::ErrorKind::NotFound, text)
        })?;
        let host = api.strip_prefix("http://").unwrap_or(api);
        let stream = TcpStream::connect(host.trim_end_matches('/'))?;
        stream.set_nodelay(true)?;
        Ok(Wire::new(Connection::Tcp(stream)))
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Local(stream) => stream.read(into),
            Connection::Tcp(stream) => stream.read(into),
        }
    }
}

impl Connection {
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Connection::Local(stream) => stream.write_vectored(parts),
            Connection::Tcp(stream) => stream.write_vectored(parts),
        }
    }
}

/// One connection to the gateway.
pub(crate) struct Wire {
    input: BufReader<Connection>,
    line: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub drain: bool,
    pub closes: bool,
    pub cancelled: String,
    pub refused: String,
    pub body: Vec<u8>,
}

/// An exchange that failed; `sent` says whether the answers have left.
pub(crate) struct Lost {
    pub sent: bool,
    pub error: io::Error,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Wire {
    fn new(connection: Connection) -> Wire {
        Wire {
            input: BufReader::with_capacity(16 << 10, connection),
            line: Vec::new(),
        }
    }

    pub fn fd(&self) -> RawFd {
        match self.input.get_ref() {
            Connection::Local(stream) => stream.as_raw_fd(),
            Connection::Tcp(stream) => stream.as_raw_fd(),
        }
    }

    pub fn send(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        let (mut first, mut second) = (first, second);
        while !first.is_empty() || !second.is_empty() {
            let parts = [IoSlice::new(first), IoSlice::new(second)];
            let sent = match self.input.get_mut().write_vectored(&parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => sent,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let of_first = sent.min(first.len());
            first = &first[of_first..];
            second = &second[sent - of_first..];
        }
        Ok(())
    }

    /// Carries answers there and up to `max` events back.
    pub fn exchange(&mut self, answers: &[u8], max: usize) -> Result<Reply, Lost> {
        let head = format!(
            "POST /v1/exchange?max={} HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\nContent-Length: {}\r\n\r\n",
            max,
            answers.len()
        );
        self.send(head.as_bytes(), answers)
            .map_err(|error| Lost { sent: false, error })?;
        self.reply().map_err(|error| Lost { sent: true, error })
    }

    /// The final reply; interim ones (1xx) are dropped.
    pub fn reply(&mut self) -> io::Result<Reply> {
        loop {
            let reply = self.read_one()?;
            if reply.status >= 200 {
                return Ok(reply);
            }
        }
    }

    fn read_one(&mut self) -> io::Result<Reply> {
        let mut reply = Reply::default();
        let mut size = 0;
        self.read_line()?;
        let status = self
            .line
            .get(9..12)
            .filter(|_| self.line.starts_with(b"HTTP/1."));
        reply.status = status
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("the gateway's reply has no status line"))?;
        loop {
            self.read_line()?;
            if self.line.is_empty() {
                break;
            }
            reply.note(&self.line, &mut size)?;
        }
        if reply.status >= 200 && reply.status != 204 {
            reply.body.resize(size, 0);
            self.input.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    /// The next line without its end, in `line`.
    fn read_line(&mut self) -> io::Result<()> {
        self.line.clear();
        let limit = 1 << 16;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        if self.line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(())
    }
}

impl Reply {
    fn note(&mut self, line: &[u8], size: &mut usize) -> io::Result<()> {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid("a line of the gateway's reply has no colon"))?;
        let value = value.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Content-Length") {
            *size = value
                .parse()
                .ok()
                .filter(|size| *size <= MAX_REPLY)
                .ok_or_else(|| invalid("the gateway's reply has no valid length"))?;
        } else if is("Transfer-Encoding") {
            return Err(invalid("the gateway's reply has no length"));
        } else if is("Execgate-Cancelled") {
            self.cancelled = value.to_string();
        } else if is("Execgate-Refused") {
            self.refused = value.to_string();
        } else if is("Execgate-Drain") {
            self.drain = value.eq_ignore_ascii_case("true");
        } else if is("Connection") {
            self.closes = value.eq_ignore_ascii_case("close");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_bounded_before_memory_is_taken() {
        let note = |value: &str| {
            let mut size = 0;
            let line = format!("Content-Length: {}", value);
            Reply::default()
                .note(line.as_bytes(), &mut size)
                .map(|_| size)
        };
        assert_eq!(note("17").unwrap(), 17);
        for wrong in [
            "-1",
            "1x",
            "",
            "2147483649",
            "9223372036854775807",
            "99999999999999999999",
        ] {
            assert!(note(wrong).is_err(), "{}", wrong);
        }
    }
}
