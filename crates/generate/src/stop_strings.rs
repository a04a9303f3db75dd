//! Texts that end a generation, wherever tokens are cut: [`StopStrings`].

/// Finds stop strings in a text that comes in parts, and holds back what may be the beginning of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopStrings {
    strings: Vec<String>,
    /// The end of the text that was not shown yet.
    held: String,
}

/// A part of the text that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// The stop string that follows it.
    pub(crate) stop: Option<String>,
}

impl StopStrings {
    pub(crate) fn new(strings: &[String]) -> Self {
        Self { strings: strings.to_vec(), held: String::new() }
    }

    /// Takes the next part of the text, and returns what can be shown: all before a stop string, or all that is not the
    /// beginning of one. Of several stop strings the one that begins first counts.
    pub(crate) fn push(&mut self, text: &str) -> Shown {
        self.held.push_str(text);
        let found = self.strings.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)));
        if let Some((at, stop)) = found.min_by_key(|(at, stop)| (*at, stop.len())) {
            let stop = Some(stop.clone());
            self.held.truncate(at);
            return Shown { text: std::mem::take(&mut self.held), stop };
        }
        let keep = self.strings.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let held = self.held.split_off(self.held.len() - keep);
        Shown { text: std::mem::replace(&mut self.held, held), stop: None }
    }

    /// What was held back, after the last part.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of a text that begin a stop string, but are not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.filter(|length| *length <= text.len()).find(|length| text.ends_with(&stop[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(strings: &[&str], parts: &[&str]) -> (Vec<String>, Option<String>) {
        let mut stops = StopStrings::new(&strings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let mut texts = Vec::new();
        for part in parts {
            let Shown { text, stop } = stops.push(part);
            texts.push(text);
            if stop.is_some() {
                return (texts, stop);
            }
        }
        texts.push(stops.finish());
        (texts, None)
    }

    #[test]
    fn a_stop_string_is_found_across_parts_and_its_beginning_is_held_back() {
        let (texts, stop) = shown(&["\n\nQ:"], &["one", "\n", "\nQ", ": two"]);
        assert_eq!((texts, stop.as_deref()), (vec!["one".into(), "".into(), "".into(), "".into()], Some("\n\nQ:")));
        let (texts, stop) = shown(&["END"], &["E", "N", "ENDE"]);
        assert_eq!((texts.concat().as_str(), stop.as_deref()), ("EN", Some("END")));
    }

    #[test]
    fn what_is_no_stop_string_is_shown_in_the_end() {
        let (texts, stop) = shown(&["END", "é!"], &["a E", "N", " é"]);
        assert_eq!((texts, stop), (vec!["a ".into(), "".into(), "EN ".into(), "é".into()], None));
        assert_eq!(shown(&[], &["a", "b"]), (vec!["a".into(), "b".into(), String::new()], None));
    }

    #[test]
    fn of_several_stop_strings_the_first_in_the_text_counts() {
        let (texts, stop) = shown(&["cd", "b", "bc"], &["abcd"]);
        assert_eq!((texts, stop.as_deref()), (vec!["a".into()], Some("b")));
    }
}
