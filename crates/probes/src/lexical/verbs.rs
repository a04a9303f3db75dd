//! English verbs by their forms: [`VerbForms`].

use std::collections::BTreeSet;

/// Forms of verbs that are not made with -ed, and their bases.
const IRREGULAR: &str = "be am is are was were been have has had do does did done go goes went gone make made get got say said \
    see saw seen take took taken come came know knew known give gave given find found think thought tell told become became \
    show shown leave left feel felt put bring brought begin began begun keep kept hold held write wrote written stand stood \
    hear heard let mean meant set meet met run ran pay paid sit sat speak spoke spoken lie lay lead led read grow grew grown \
    lose lost fall fell fallen send sent build built understand understood draw drew drawn break broke broken spend spent cut \
    rise rose risen drive drove driven buy bought wear wore worn choose chose chosen seek sought throw threw thrown catch \
    caught deal dealt win won forget forgot lay laid sell sold fight fought teach taught eat ate eaten sing sang strike struck \
    hang hung shake shook ride rode feed fed shoot shot drink drank hit hurt spread beat fly flew flown swim swam sleep slept";

/// Which words are forms of English verbs, as far as a set of words shows it.
///
/// A word is one if it is in a list of irregular forms, or if the set has a form of it in -ing and one in -ed: `walks` because of
/// `walking` and `walked`, `hope` because of `hoping` and `hoped`. This is about the form alone: `wedding` is a form of `wed`
/// wherever `wedded` is known, `house` a verb because of `housed` and `housing`, and neither needs to be a verb in its sentence.
///
/// ```
/// use stratigraph_probes::lexical::VerbForms;
/// let verbs = VerbForms::new(["walking", "walked", "hoped", "hoping", "stopped", "stopping", "king", "evening", "thing"]);
/// for verb in ["walking", "walks", "hope", "stop", "stopped", "going", "Went"] {
///     assert!(verbs.contains(verb), "{verb}");
/// }
/// for other in ["king", "thing", "evening", "table", "k", ""] {
///     assert!(!verbs.contains(other), "{other}");
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct VerbForms {
    words: BTreeSet<String>,
    irregular: BTreeSet<&'static str>,
}

impl VerbForms {
    /// From words, such as those of a text and of a vocabulary; what is no word is left out.
    pub fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let word = |text: S| {
            let text = text.as_ref().trim();
            text.chars().all(char::is_alphabetic).then(|| text.to_lowercase())
        };
        Self { words: words.into_iter().filter_map(word).collect(), irregular: IRREGULAR.split_whitespace().collect() }
    }

    /// Whether a word is a form of a verb.
    pub fn contains(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let of_stem = |stem: Option<&str>| stem.is_some_and(|stem| self.is_stem(stem));
        if let Some(stem) = word.strip_suffix("ing").filter(|stem| stem.len() > 1) {
            return self.is_stem(stem) || bases(stem).any(|base| self.irregular.contains(base.as_str()));
        }
        self.irregular.contains(word.as_str())
            || of_stem(word.strip_suffix("ed"))
            || word.strip_suffix("ied").is_some_and(|stem| self.is_stem(&format!("{stem}y")))
            || self.is_base(&word)
            || word.strip_suffix('s').is_some_and(|base| self.is_base(base))
            || word.strip_suffix("es").is_some_and(|base| self.is_base(base))
            || word.strip_suffix("ies").is_some_and(|stem| self.is_stem(&format!("{stem}y")))
    }

    /// Whether a verb without an ending has this form.
    fn is_base(&self, word: &str) -> bool {
        let doubled = word.chars().last().map(|last| format!("{word}{last}"));
        self.is_stem(word)
            || word.strip_suffix('e').is_some_and(|stem| self.is_stem(stem))
            || doubled.is_some_and(|stem| self.is_stem(&stem))
    }

    /// Whether the words have both endings after these letters: `hop` of `hoping` and `hoped`.
    fn is_stem(&self, stem: &str) -> bool {
        let past = match stem.strip_suffix('y') {
            Some(short) if self.words.contains(&format!("{short}ied")) => true,
            _ => self.words.contains(&format!("{stem}ed")),
        };
        stem.len() > 1 && past && self.words.contains(&format!("{stem}ing"))
    }
}

/// The verbs to which -ing may have been added to give these letters: `mak` of `make`, `putt` of `put`.
fn bases(stem: &str) -> impl Iterator<Item = String> {
    let undoubled = || {
        let last = stem.chars().last()?;
        stem.strip_suffix(last)?.ends_with(last).then(|| stem[..stem.len() - last.len_utf8()].to_owned())
    };
    let short = undoubled();
    [stem.to_owned(), format!("{stem}e")].into_iter().chain(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_that_change_the_stem_are_followed() {
        let verbs = VerbForms::new([" studying", "Studied", "carried", "playing", "played", "tried"]);
        for verb in
            ["study", "studies", "studied", "studying", "plays", "lying", "making", "putting", "sees", "running"]
        {
            assert_eq!(verbs.contains(verb), !["lying", "sees"].contains(&verb), "{verb}");
        }
        assert!(!verbs.contains("carry") && !verbs.contains("trying"), "a form in -ing is not known");
        assert!(!VerbForms::new(["st\u{e9}ing"]).contains("\u{e9}\u{e9}ing"));
    }
}
