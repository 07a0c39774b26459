use crate::json::Json;
use crate::queue::{patience, Way};
use crate::request::percent_encode;
use crate::wire::{Address, Reply};
use std::fmt;
use std::io;
use std::time::SystemTime;

/// A WebSocket connection: [`crate::Context::connection`] in a handler, [`Connection::new`] elsewhere in its process.
#[derive(Clone)]
pub struct Connection {
    id: String,
    caller: Caller,
}

/// A group of WebSocket connections, which is there while somebody is in it: [`crate::Context::group`] in a handler,
/// [`Group::new`] elsewhere in its process.
#[derive(Clone)]
pub struct Group {
    name: String,
    caller: Caller,
}

/// Why something was not done.
#[derive(Debug)]
pub enum CallError {
    /// No such connection is open (any more).
    Gone,
    /// The gateway has refused.
    Refused {
        /// The status.
        status: u16,
        /// What the gateway says.
        detail: String,
    },
    /// Nothing is known: the gateway was lost, or the deadline has passed ([`io::ErrorKind::TimedOut`]).
    Lost(io::Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Gone => f.write_str("no such connection is open"),
            CallError::Refused { status, detail } => {
                write!(f, "the gateway answered {}: {}", status, detail)
            }
            CallError::Lost(e) => {
                write!(f, "it is not known whether the gateway has done it: {}", e)
            }
        }
    }
}

impl std::error::Error for CallError {}

impl From<io::Error> for CallError {
    /// What waiting has cost is a timeout, whatever the system calls it.
    fn from(e: io::Error) -> CallError {
        CallError::Lost(match e.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => e,
        })
    }
}

impl Connection {
    /// A connection for callers that handle no event at the moment.
    pub fn new(id: impl Into<String>) -> Connection {
        Connection::of(id.into(), Caller::from_environment())
    }

    pub(crate) fn of(id: String, caller: Caller) -> Connection {
        Connection { id, caller }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a text message.
    pub fn send(&self, text: impl AsRef<str>) -> Result<(), CallError> {
        let body = Body::Text(text.as_ref());
        self.caller.ask("POST", &self.path(), body).map(|_| ())
    }

    /// Sends a binary message.
    pub fn send_bytes(&self, bytes: impl AsRef<[u8]>) -> Result<(), CallError> {
        let body = Body::Bytes(bytes.as_ref());
        self.caller.ask("POST", &self.path(), body).map(|_| ())
    }

    /// Ends the connection with a code, 1000 or one of 3000 to 4999, and a reason.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), CallError> {
        let target = format!(
            "{}?code={}&reason={}",
            self.path(),
            code,
            percent_encode(reason)
        );
        self.caller.ask("DELETE", &target, Body::None).map(|_| ())
    }

    /// What the gateway knows of it: `connectionId`, `path`, `claims`, `groups` and more.
    pub fn show(&self) -> Result<Json, CallError> {
        self.caller.ask("GET", &self.path(), Body::None)
    }

    fn path(&self) -> String {
        format!("/v1/connections/{}", percent_encode(&self.id))
    }
}

impl Group {
    /// A group for callers that handle no event at the moment.
    pub fn new(name: impl Into<String>) -> Group {
        Group::of(name.into(), Caller::from_environment())
    }

    pub(crate) fn of(name: String, caller: Caller) -> Group {
        Group { name, caller }
    }

    /// Puts a connection into the group; it leaves when it ends.
    pub fn join(&self, connection: &Connection) -> Result<(), CallError> {
        let target = self.member(connection);
        self.caller.ask("PUT", &target, Body::None).map(|_| ())
    }

    /// Takes it out.
    pub fn leave(&self, connection: &Connection) -> Result<(), CallError> {
        let target = self.member(connection);
        self.caller.ask("DELETE", &target, Body::None).map(|_| ())
    }

    /// Sends a text message to all in the group. How many it went to.
    pub fn send(&self, text: impl AsRef<str>) -> Result<usize, CallError> {
        self.broadcast(Body::Text(text.as_ref()), None)
    }

    /// The same to all but one.
    pub fn send_except(
        &self,
        connection: &Connection,
        text: impl AsRef<str>,
    ) -> Result<usize, CallError> {
        self.broadcast(Body::Text(text.as_ref()), Some(connection))
    }

    /// Sends a binary message to all in the group, perhaps but one.
    pub fn send_bytes(
        &self,
        bytes: impl AsRef<[u8]>,
        except: Option<&Connection>,
    ) -> Result<usize, CallError> {
        self.broadcast(Body::Bytes(bytes.as_ref()), except)
    }

    /// How many are in it.
    pub fn size(&self) -> Result<usize, CallError> {
        let target = format!("/v1/groups/{}", percent_encode(&self.name));
        let told = self.caller.ask("GET", &target, Body::None)?;
        Ok(told["connections"].as_f64().unwrap_or_default() as usize)
    }

    /// The first so many of it, at most 1000; each as [`Connection::show`] has it.
    pub fn members(&self, limit: usize) -> Result<Vec<Json>, CallError> {
        let name = percent_encode(&self.name);
        let target = format!("/v1/connections?group={}&limit={}", name, limit);
        let told = self.caller.ask("GET", &target, Body::None)?;
        Ok(told["connections"]
            .as_list()
            .map_or_else(Vec::new, <[Json]>::to_vec))
    }

    fn member(&self, connection: &Connection) -> String {
        format!(
            "{}/groups/{}",
            connection.path(),
            percent_encode(&self.name)
        )
    }

    fn broadcast(&self, body: Body<'_>, except: Option<&Connection>) -> Result<usize, CallError> {
        let mut target = format!("/v1/groups/{}/messages", percent_encode(&self.name));
        if let Some(connection) = except {
            target += &format!("?except={}", percent_encode(&connection.id));
        }
        let told = self.caller.ask("POST", &target, body)?;
        Ok(told["sent"].as_f64().unwrap_or_default() as usize)
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    None,
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Body<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::None => &[],
            Body::Text(text) => text.as_bytes(),
            Body::Bytes(bytes) => bytes,
        }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Body::Bytes(_) => "application/octet-stream",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// Whom a handler asks, and until when.
#[derive(Clone)]
pub(crate) struct Caller {
    pub way: Way,
    pub deadline: Option<SystemTime>,
}

impl Caller {
    fn from_environment() -> Caller {
        Caller {
            way: Way::Gateway(Address::from_environment()),
            deadline: None,
        }
    }

    fn ask(&self, method: &str, target: &str, body: Body<'_>) -> Result<Json, CallError> {
        let (status, text) = match &self.way {
            Way::Test { open, .. } => {
                let mut open = open.lock().unwrap_or_else(|e| e.into_inner());
                open.serve(method, target, body)
            }
            Way::Gateway(address) => {
                let reply = self.exchange(address, method, target, body)?;
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                (reply.status, text)
            }
        };
        match status {
            200..=299 => Ok(Json::parse(&text).unwrap_or(Json::Null)),
            410 => Err(CallError::Gone),
            _ => {
                let problem = Json::parse(&text).unwrap_or(Json::Null);
                let detail = problem["detail"].as_str().unwrap_or(&text).to_string();
                Err(CallError::Refused { status, detail })
            }
        }
    }

    fn exchange(
        &self,
        address: &Address,
        method: &str,
        target: &str,
        body: Body<'_>,
    ) -> io::Result<Reply> {
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: execgate\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            method,
            target,
            body.content_type(),
            body.bytes().len()
        );
        let mut wire = address.open()?;
        wire.limit(patience(self.deadline)?)?;
        wire.send(head.as_bytes(), body.bytes())?;
        wire.limit(patience(self.deadline)?)?;
        wire.reply()
    }
}
