//! Text statistics over execgate's native runtime API, with the standard library only.
//!
//!     POST /statistics    a text in; counts of it as JSON out
//!     GET  /statistics    how many texts and bytes this process has seen
//!
//! `runtime.rs` is the whole client; this file is the handler.

mod runtime;

use runtime::{Answer, Event};
use std::collections::HashMap;

#[derive(Default)]
struct Seen {
    texts: u64,
    bytes: u64,
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

fn statistics(text: &str) -> String {
    let (word, count) = favourite(text).unwrap_or_default();
    // A word holds nothing but letters and digits, so it needs no escapes.
    format!(
        "{{\"lines\":{},\"words\":{},\"characters\":{},\"bytes\":{},\"favourite\":{{\"word\":\"{}\",\"count\":{}}}}}\n",
        text.lines().count(),
        text.split_whitespace().count(),
        text.chars().count(),
        text.len(),
        word,
        count
    )
}

fn handle(event: &Event, seen: &mut Seen) -> Answer {
    if event.method == "GET" {
        return Answer::json(
            200,
            format!("{{\"texts\":{},\"bytes\":{}}}\n", seen.texts, seen.bytes),
        );
    }
    match std::str::from_utf8(event.body) {
        Ok(text) => {
            seen.texts += 1;
            seen.bytes += text.len() as u64;
            Answer::json(200, statistics(text))
        }
        Err(e) => Answer::json(
            400,
            format!(
                "{{\"title\":\"The text is not UTF-8 at byte {}\"}}\n",
                e.valid_up_to()
            ),
        ),
    }
}

fn main() {
    let mut seen = Seen::default();
    if let Err(e) = runtime::run(|event| handle(event, &mut seen)) {
        eprintln!("statistics: {e}");
        std::process::exit(1);
    }
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
        assert!(statistics("é\n").contains("\"characters\":2,\"bytes\":3"));
    }
}
