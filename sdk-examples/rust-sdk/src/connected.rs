//! WebSocket connections of tests: who is open, in which groups, and what was sent to them.

use crate::connection::Body;
use crate::json::Json;
use crate::request::{decode, form_pairs};

/// What a handler has sent to a WebSocket connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Whom to.
    pub connection: String,
    /// What; the reason, when it was closed.
    pub body: Vec<u8>,
    /// Not as text.
    pub binary: bool,
    /// The code, when the handler has closed it.
    pub closed: Option<u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub id: String,
    pub groups: Vec<String>,
    pub claims: Json,
}

impl Opened {
    fn json(&self) -> Json {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        Json::object([
            ("connectionId", Json::from(self.id.as_str())),
            ("claims", self.claims.clone()),
            ("groups", Json::from(groups)),
        ])
    }
}

#[derive(Default)]
pub(crate) struct Connections {
    open: Vec<Opened>,
    pub pushed: Vec<Pushed>,
}

type Told = (u16, String);

fn number(name: &str, count: usize) -> Told {
    (200, Json::object([(name, Json::from(count))]).to_string())
}

impl Connections {
    pub fn add(&mut self, one: Opened) {
        self.remove(&one.id);
        self.open.push(one);
    }

    pub fn remove(&mut self, id: &str) {
        self.open.retain(|one| one.id != id);
    }

    fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Opened> {
        self.open
            .iter()
            .filter(move |one| one.groups.iter().any(|name| name == group))
    }

    /// Answers a call as the gateway would.
    pub fn serve(&mut self, method: &str, target: &str, body: Body<'_>) -> Told {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = form_pairs(query);
        let asked = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let words: Vec<String> = path
            .split('/')
            .skip(2)
            .map(|word| decode(word, false))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (method, &words[..]) {
            ("GET", ["groups", group]) => number("connections", self.members(group).count()),
            ("POST", ["groups", group, "messages"]) => self.broadcast(group, asked("except"), body),
            ("GET", ["connections"]) => self.list(asked("group"), asked("limit")),
            (_, ["connections", id, ..]) if self.open.iter().all(|one| one.id != *id) => {
                let text = r#"{"detail":"no connection of that id is open"}"#;
                (410, text.to_string())
            }
            ("GET", ["connections", id]) => self.show(id),
            ("POST", ["connections", id]) => self.push(id, body),
            ("DELETE", ["connections", id]) => self.close(id, asked("code"), asked("reason")),
            (_, ["connections", id, "groups", group]) => self.shift(method, id, group),
            _ => (404, String::new()),
        }
    }

    fn broadcast(&mut self, group: &str, except: &str, body: Body<'_>) -> Told {
        let ids: Vec<String> = self
            .members(group)
            .map(|one| one.id.clone())
            .filter(|id| id != except)
            .collect();
        for id in &ids {
            self.push(id, body);
        }
        number("sent", ids.len())
    }

    fn list(&self, group: &str, limit: &str) -> Told {
        let limit = limit.parse().unwrap_or(1000);
        let found: Vec<Json> = self.members(group).take(limit).map(Opened::json).collect();
        let told = Json::object([("connections", Json::List(found))]);
        (200, told.to_string())
    }

    fn show(&self, id: &str) -> Told {
        let found = self.open.iter().find(|one| one.id == id);
        (
            200,
            found.map_or_else(String::new, |one| one.json().to_string()),
        )
    }

    fn push(&mut self, id: &str, body: Body<'_>) -> Told {
        self.pushed.push(Pushed {
            connection: id.to_string(),
            body: body.bytes().to_vec(),
            binary: matches!(body, Body::Bytes(_)),
            closed: None,
        });
        (200, String::new())
    }

    fn close(&mut self, id: &str, code: &str, reason: &str) -> Told {
        self.remove(id);
        self.pushed.push(Pushed {
            connection: id.to_string(),
            body: reason.into(),
            binary: false,
            closed: code.parse().ok(),
        });
        (204, String::new())
    }

    fn shift(&mut self, method: &str, id: &str, group: &str) -> Told {
        for one in self.open.iter_mut().filter(|one| one.id == id) {
            one.groups.retain(|name| name != group);
            if method == "PUT" {
                one.groups.push(group.to_string());
            }
        }
        (204, String::new())
    }
}
