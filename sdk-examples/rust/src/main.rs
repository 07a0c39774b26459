//! Text statistics, on the SDK in ../rust-sdk.
//!
//!     POST /statistics    a text in; counts of it as JSON out
//!     GET  /statistics    how many texts and bytes this process has seen
//!
//! With `concurrency` in the blueprint several threads may call the handler, so what it counts is atomic.

use execgate::json::Json;
use execgate::{Context, Error, Request, Response};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
struct Seen {
    texts: AtomicU64,
    bytes: AtomicU64,
}

/// The most frequent word, the first of them in the text when several are.
fn favourite(text: &str) -> Option<(String, usize)> {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    for (position, word) in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .enumerate()
    {
        counts.entry(word.to_lowercase()).or_insert((0, position)).0 += 1;
    }
    let best = counts
        .into_iter()
        .max_by_key(|(_, (count, position))| (*count, usize::MAX - *position));
    best.map(|(word, (count, _))| (word, count))
}

fn statistics(text: &str) -> Json {
    let (word, count) = favourite(text).unwrap_or_default();
    let favourite = Json::object([("word", Json::from(word)), ("count", Json::from(count))]);
    Json::object([
        ("lines", Json::from(text.lines().count())),
        ("words", Json::from(text.split_whitespace().count())),
        ("characters", Json::from(text.chars().count())),
        ("bytes", Json::from(text.len())),
        ("favourite", favourite),
    ])
}

impl Seen {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        if request.method() == "GET" {
            let texts = self.texts.load(Ordering::Relaxed).into();
            let bytes = self.bytes.load(Ordering::Relaxed).into();
            return Ok(Response::json(
                200,
                Json::object([("texts", texts), ("bytes", bytes)]),
            ));
        }
        let text = match request.text() {
            Ok(text) => text,
            Err(e) => {
                let title = format!("The text is not UTF-8 at byte {}", e.valid_up_to());
                return Ok(Response::json(400, Json::object([("title", title.into())])));
            }
        };
        self.texts.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(Response::json(200, statistics(text)))
    }
}

fn main() -> std::io::Result<()> {
    let seen = Seen::default();
    execgate::serve(|request: Request, _: Context| seen.handle(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_favourite_is_the_most_frequent_and_then_the_first() {
        assert_eq!(
            favourite("One two, TWO one two"),
            Some(("two".to_string(), 3))
        );
        assert_eq!(favourite("b a a b"), Some(("b".to_string(), 2)));
        assert_eq!(favourite(" ,.; "), None);
    }

    #[test]
    fn characters_are_not_bytes() {
        let counted = statistics("é\n");
        assert_eq!(
            (&counted["characters"], &counted["bytes"]),
            (&Json::from(2), &Json::from(3))
        );
    }
}
