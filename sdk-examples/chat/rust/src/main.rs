//! The chat's rooms, on the SDK in ../../rust-sdk.
//!
//!     {"action": "rooms"}                  how many are in each room
//!     {"action": "join", "room": "tea"}    comes in; the answer is who is there, and the others hear of it
//!     {"action": "leave", "room": "tea"}   goes; those who stay hear of it
//!     {"action": "who", "room": "tea"}     who is there
//!
//! A room is a group of the gateway's: nothing of all this is kept here, so any number of processes and nodes may run it.

use execgate::json::Json;
use execgate::{CallError, Context, Error, Request, Response};

/// More are there, but not named.
const NAMED: usize = 200;

struct Rooms {
    names: Vec<String>,
}

impl Rooms {
    fn from(list: &str) -> Rooms {
        let names = list.split(',').map(|name| name.trim().to_string());
        Rooms {
            names: names.filter(|name| !name.is_empty()).collect(),
        }
    }

    fn handle(&self, request: Request, context: Context) -> Result<Response, Error> {
        let asked = request.json().unwrap_or(Json::Null);
        let room = asked["room"].as_str().unwrap_or("");
        let action = asked["action"].as_str().unwrap_or("");
        if action != "rooms" && self.names.iter().all(|name| name != room) {
            return Ok(said(refused("There is no such room")));
        }
        let visit = Visit {
            room,
            request: &request,
            context: &context,
        };
        let answer = match action {
            "rooms" => self.count(&context),
            "join" => visit.join(),
            "leave" => visit.leave(),
            _ => visit.people(),
        };
        match answer {
            // Whoever asked has closed the page: nobody waits for the answer.
            Err(CallError::Gone) => Ok(Response::new(204)),
            answer => Ok(said(answer?)),
        }
    }

    fn count(&self, context: &Context) -> Result<Json, CallError> {
        let mut list = Vec::new();
        for name in &self.names {
            let people = Json::from(context.group(name.as_str()).size()?);
            list.push(Json::object([
                ("room", Json::from(name.as_str())),
                ("people", people),
            ]));
        }
        Ok(Json::object([
            ("type", Json::from("rooms")),
            ("rooms", Json::List(list)),
        ]))
    }
}

/// Somebody and a room.
struct Visit<'a> {
    room: &'a str,
    request: &'a Request,
    context: &'a Context,
}

impl Visit<'_> {
    /// Joins first: so the list may have people whose coming or going is told as well, but lacks nobody.
    fn join(&self) -> Result<Json, CallError> {
        let here = self.context.connection(self.request.connection());
        let group = self.context.group(self.room);
        group.join(&here)?;
        group.send_except(&here, self.news("joined").to_string())?;
        self.people()
    }

    fn leave(&self) -> Result<Json, CallError> {
        let here = self.context.connection(self.request.connection());
        let group = self.context.group(self.room);
        group.leave(&here)?;
        group.send(self.news("left").to_string())?;
        Ok(self.news("left"))
    }

    fn people(&self) -> Result<Json, CallError> {
        let group = self.context.group(self.room);
        let members = group.members(NAMED)?;
        let people = members.iter().map(|member| {
            let id = member["connectionId"].as_str().unwrap_or("");
            person(id, &member["claims"])
        });
        Ok(Json::object([
            ("type", Json::from("room")),
            ("room", Json::from(self.room)),
            ("people", Json::List(people.map(Json::object).collect())),
            ("count", Json::from(group.size()?)),
        ]))
    }

    fn news(&self, kind: &str) -> Json {
        let claims = self.request.claims().unwrap_or(Json::Null);
        let [seat, name] = person(self.request.connection(), &claims);
        let what = [("type", Json::from(kind)), ("room", Json::from(self.room))];
        Json::object(what.into_iter().chain([seat, name]))
    }
}

/// A seat is a connection's name among people: the end of its id, too short to guess the rest by.
fn person(id: &str, claims: &Json) -> [(&'static str, Json); 2] {
    let seat = id.get(id.len().saturating_sub(8)..).unwrap_or(id);
    let name = claims["name"].as_str().or_else(|| claims["sub"].as_str());
    [
        ("seat", Json::from(seat)),
        ("name", Json::from(name.unwrap_or("somebody").trim())),
    ]
}

fn refused(why: &str) -> Json {
    Json::object([("type", Json::from("refused")), ("why", Json::from(why))])
}

fn said(news: Json) -> Response {
    Response::text(200, news.to_string())
}

fn main() -> std::io::Result<()> {
    let rooms = Rooms::from(&std::env::var("CHAT_ROOMS").unwrap_or_default());
    execgate::serve(move |request: Request, context: Context| rooms.handle(request, context))
}

#[cfg(test)]
mod tests {
    use super::*;
    use execgate::testing::{call, Answer, Event};

    fn ask(message: &str, groups: &[&str]) -> Answer {
        let rooms = Rooms::from("lobby, tea,");
        let handler = move |request: Request, context: Context| rooms.handle(request, context);
        let event = Event::websocket("any", message)
            .groups(groups)
            .claims(r#"{"name":"Ada"}"#)
            .other("0123456789abcdef", &["tea"], r#"{"sub":"zoe"}"#)
            .other("c-3", &["lobby"], r#"{"name":"Lea"}"#);
        call(&handler, event).unwrap()
    }

    const BOTH: &str = r#"{"type":"room","room":"tea","people":[{"seat":"c-1","name":"Ada"},{"seat":"89abcdef","name":"zoe"}],"count":2}"#;

    fn sorted(text: &str) -> Vec<String> {
        let room = Json::parse(text).unwrap();
        let mut people: Vec<String> = room["people"]
            .as_list()
            .unwrap()
            .iter()
            .map(Json::to_string)
            .collect();
        people.sort();
        people
    }

    #[test]
    fn who_joins_hears_who_is_there_and_they_hear_who_came() {
        let a = ask(r#"{"action":"join","room":"tea"}"#, &[]);
        assert_eq!(sorted(&a.text()), sorted(BOTH));
        assert_eq!(a.pushed.len(), 1);
        assert_eq!(a.pushed[0].connection, "0123456789abcdef");
        let told = String::from_utf8_lossy(&a.pushed[0].body).into_owned();
        assert_eq!(
            told,
            r#"{"type":"joined","room":"tea","seat":"c-1","name":"Ada"}"#
        );
    }

    #[test]
    fn who_stays_hears_who_left() {
        let a = ask(r#"{"action":"leave","room":"tea"}"#, &["tea"]);
        let left = r#"{"type":"left","room":"tea","seat":"c-1","name":"Ada"}"#;
        assert_eq!((a.text().as_ref(), a.pushed.len()), (left, 1));
        assert_eq!(a.pushed[0].body, left.as_bytes());
    }

    #[test]
    fn rooms_have_their_people() {
        let a = ask(r#"{"action":"rooms"}"#, &["tea"]);
        let rooms =
            r#"{"type":"rooms","rooms":[{"room":"lobby","people":1},{"room":"tea","people":2}]}"#;
        assert_eq!(a.text(), rooms);
        let a = ask(r#"{"action":"who","room":"tea"}"#, &["tea"]);
        assert_eq!(sorted(&a.text()), sorted(BOTH));
    }

    #[test]
    fn nobody_makes_a_room() {
        for message in [
            r#"{"action":"join","room":"attic"}"#,
            r#"{"action":"join"}"#,
            r#"{"action":"join","room":["tea"]}"#,
            r#"{"action":"who","room":""}"#,
            "no JSON",
        ] {
            let a = ask(message, &[]);
            assert!(
                a.text().contains("no such room") && a.pushed.is_empty(),
                "{}",
                message
            );
        }
    }

    #[test]
    fn who_has_left_the_chat_joins_nothing() {
        let rooms = Rooms::from("tea");
        let handler = move |request: Request, context: Context| rooms.handle(request, context);
        let gone = Event::websocket("$disconnect", r#"{"action":"join","room":"tea"}"#);
        assert_eq!(call(&handler, gone).unwrap().status, 204);
    }
}
