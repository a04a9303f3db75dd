//! The built-in groupings of positions, constructors of [`TokenGroups`]: by class, frequency, position and part of a word.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use stratigraph_core::TokenWindows;

use super::{PositionClass, WindowWords, WordPart};
use crate::scores::TokenGroups;
use crate::{ProbeError, Result};

const CLASS: &str = "class";
const NEXT_CLASS: &str = "next_class";
const FREQUENCY: &str = "frequency";
const POSITION: &str = "position";
const WORD: &str = "word";

/// The built-in groupings. Groups without any position are left out. `texts` is the text of each token by its id, as it is
/// after a letter: white space before it shows, a part of a character is U+FFFD, and a special token is empty, as is a token
/// beyond the end of the list.
impl TokenGroups {
    /// The names that [`by_name`](TokenGroups::by_name) takes.
    pub const KNOWN: [&str; 5] = [CLASS, FREQUENCY, POSITION, WORD, NEXT_CLASS];

    /// A built-in grouping by its name.
    ///
    /// # Errors
    /// [`ProbeError::UnknownGrouping`], which lists the known names.
    pub fn by_name(name: &str, windows: &TokenWindows, texts: &[String]) -> Result<Self> {
        match name {
            CLASS => Self::by_class(windows, texts),
            NEXT_CLASS => Self::by_next_class(windows, texts),
            FREQUENCY => Self::by_frequency(windows),
            POSITION => Self::by_position(windows),
            WORD => Self::by_word(windows, texts),
            _ => Err(ProbeError::UnknownGrouping { name: name.to_owned(), known: Self::KNOWN.join(", ") }),
        }
    }

    /// `class`: by the [`PositionClass`] of the token at the position.
    ///
    /// ```
    /// use stratigraph_core::TokenWindows;
    /// use stratigraph_probes::scores::TokenGroups;
    ///
    /// let texts = [" the", " un", "like", "ly", "."].map(str::to_owned);
    /// let windows = TokenWindows::new(&[0, 1, 2, 3, 4, 0], 3)?;
    /// let classes = TokenGroups::by_class(&windows, &texts)?;
    /// assert_eq!(classes.labels(), ["word start", "word continuation", "punctuation"]);
    /// assert_eq!((classes.group(0, 2), classes.group(1, 1)), (Some(1), Some(2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When there are no windows.
    pub fn by_class(windows: &TokenWindows, texts: &[String]) -> Result<Self> {
        let classes = classes(windows, texts);
        labelled(CLASS, PositionClass::ALL.map(|it| (it, it.label())), windows, |window, position| {
            Some(classes[window][position])
        })
    }

    /// `next_class`: by the [`PositionClass`] of the token after the position, which the model predicts there. The last
    /// position of a window has none.
    ///
    /// # Errors
    /// When there are no windows.
    pub fn by_next_class(windows: &TokenWindows, texts: &[String]) -> Result<Self> {
        let classes = classes(windows, texts);
        labelled(NEXT_CLASS, PositionClass::ALL.map(|it| (it, it.label())), windows, |window, position| {
            classes[window].get(position + 1).copied()
        })
    }

    /// `word`: by the [`WordPart`] of the token at the position, in the words that [`WindowWords`] finds.
    ///
    /// # Errors
    /// When there are no windows.
    pub fn by_word(windows: &TokenWindows, texts: &[String]) -> Result<Self> {
        let words = WindowWords::new(windows, texts);
        labelled(WORD, WordPart::ALL.map(|it| (it, it.label())), windows, |window, position| {
            Some(words.part(window, position))
        })
    }

    /// `frequency`: by how often the token at the position occurs in the windows, in quartiles of positions from rare to
    /// frequent. Tokens that occur equally often are in one group, so groups are only approximately quarters. A label
    /// is the range of occurrences, such as `4-17 times`. BOS at the start of a window is no token of the text and belongs to no
    /// group.
    ///
    /// # Errors
    /// When there are no windows.
    pub fn by_frequency(windows: &TokenWindows) -> Result<Self> {
        let mut occurrences: BTreeMap<u32, usize> = BTreeMap::new();
        windows.text_ids().for_each(|id| *occurrences.entry(id).or_default() += 1);
        let quartiles = Quartiles::new(occurrences.values().copied());
        let label = |times: RangeInclusive<usize>| {
            if times == (1..=1) { "once".to_owned() } else { format!("{} times", Span(times)) }
        };
        let labels = quartiles.ranges().map(label);
        Self::new(FREQUENCY, labels, windows, |window, position| {
            let is_bos = position == 0 && windows.bos().is_some();
            let token = windows.sequence(window)[position];
            if is_bos { None } else { quartiles.of(occurrences[&token]) }
        })
    }

    /// `position`: by the position in the window: 0, 1-3, 4-15, 16-63 and so on, each bin four times as long as the previous one.
    ///
    /// # Errors
    /// When there are no windows.
    pub fn by_position(windows: &TokenWindows) -> Result<Self> {
        let bin = |position: usize| if position == 0 { 0 } else { 1 + position.ilog(4) as usize };
        let last = windows.seq_len() - 1;
        let starts = std::iter::once(0).chain((0..).map(|bin| 4usize.pow(bin)));
        let ends = (0..).map(|bin| 4usize.pow(bin) - 1);
        let bins = starts.zip(ends).take_while(|(start, _)| *start <= last);
        let labels: Vec<_> = bins.map(|(start, end)| Span(start..=end.min(last)).to_string()).collect();
        Self::new(POSITION, labels, windows, |_, position| Some(bin(position)))
    }
}

/// The classes of the tokens of each window.
fn classes(windows: &TokenWindows, texts: &[String]) -> Vec<Vec<PositionClass>> {
    let text = |id: &u32| texts.get(*id as usize).map_or("", String::as_str);
    let of_window = |window: usize| {
        let texts: Vec<&str> = windows.sequence(window).iter().map(text).collect();
        PositionClass::of_window(&texts)
    };
    (0..windows.n_sequences()).map(of_window).collect()
}

/// A grouping by something of each position that takes a few values, each with its label.
fn labelled<T: PartialEq, const N: usize>(
    name: &str,
    values: [(T, &str); N],
    windows: &TokenWindows,
    value: impl Fn(usize, usize) -> Option<T>,
) -> Result<TokenGroups> {
    let index = |found: T| values.iter().position(|(value, _)| *value == found);
    let labels = values.iter().map(|(_, label)| *label);
    let groups = TokenGroups::new(name, labels, windows, |window, position| value(window, position).and_then(index))?;
    Ok(groups.without_empty())
}

/// Numbers of occurrences in up to four groups that hold about as many positions each.
struct Quartiles {
    /// The numbers of occurrences of each group, from rare to frequent.
    groups: Vec<Vec<usize>>,
}

impl Quartiles {
    /// From how often each token occurs.
    fn new(occurrences: impl Iterator<Item = usize>) -> Self {
        /// How many groups there are at most.
        const GROUPS: usize = 4;
        let mut positions: BTreeMap<usize, usize> = BTreeMap::new();
        occurrences.for_each(|times| *positions.entry(times).or_default() += times);
        let total: usize = positions.values().sum();
        let (mut groups, mut before) = (vec![Vec::new(); GROUPS], 0);
        for (times, n) in positions {
            // The group of the middle one of these positions.
            let middle = 2 * before + n;
            groups[(GROUPS * middle / (2 * total)).min(GROUPS - 1)].push(times);
            before += n;
        }
        groups.retain(|group| !group.is_empty());
        Self { groups }
    }

    /// The smallest and the largest number of occurrences of each group.
    fn ranges(&self) -> impl Iterator<Item = RangeInclusive<usize>> {
        self.groups.iter().filter_map(|group| Some(*group.first()?..=*group.last()?))
    }

    /// The group of tokens with this many occurrences.
    fn of(&self, times: usize) -> Option<usize> {
        self.groups.iter().position(|group| group.contains(&times))
    }
}

/// A range of whole numbers, as `4-17`, or one of them.
struct Span(RangeInclusive<usize>);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(ids: &[u32], seq_len: usize) -> TokenWindows {
        TokenWindows::new(ids, seq_len).unwrap()
    }

    fn groups(grouping: &TokenGroups, window: usize, seq_len: usize) -> Vec<Option<usize>> {
        (0..seq_len).map(|position| grouping.group(window, position)).collect()
    }

    #[test]
    fn positions_are_in_bins_that_grow() {
        let labels = |seq_len: usize| TokenGroups::by_position(&windows(&vec![0; seq_len], seq_len)).unwrap();
        assert_eq!(labels(64).labels(), ["0", "1-3", "4-15", "16-63"]);
        assert_eq!(labels(64).sizes(), [1, 3, 12, 48]);
        assert_eq!(labels(65).labels(), ["0", "1-3", "4-15", "16-63", "64"]);
        assert_eq!(
            (labels(2).labels(), labels(3).labels()[1].as_str()),
            (&["0".to_owned(), "1".to_owned()][..], "1-2")
        );
        assert_eq!(labels(1024).labels().last().unwrap(), "256-1023");
    }

    #[test]
    fn quartiles_hold_about_as_many_positions() {
        // Token 0 stands eight times, 1 four times, 2 and 3 twice, 4 to 7 once: 20 positions.
        let ids = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7];
        let grouping = TokenGroups::by_frequency(&windows(&ids, 10)).unwrap();
        assert_eq!(grouping.labels(), ["once", "2 times", "4 times", "8 times"]);
        assert_eq!(grouping.sizes(), [4, 4, 4, 8]);
        assert_eq!(groups(&grouping, 1, 10)[..4], [Some(2), Some(2), Some(1), Some(1)]);
        let once = TokenGroups::by_frequency(&windows(&(0..8).collect::<Vec<_>>(), 4)).unwrap();
        assert_eq!((once.labels(), once.sizes()), (&["once".to_owned()][..], vec![8]));
        // 1 + 3 + 12 positions: the rare ones together are the first quarter.
        let uneven = TokenGroups::by_frequency(&windows(&[1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], 4)).unwrap();
        assert_eq!(
            (uneven.labels(), uneven.sizes()),
            (&["1-3 times".to_owned(), "12 times".to_owned()][..], vec![4, 12])
        );
    }

    #[test]
    fn bos_is_no_token_of_the_text() {
        let begun = windows(&[9, 1, 2, 9, 1, 9], 3).with_bos(9).unwrap();
        let grouping = TokenGroups::by_frequency(&begun).unwrap();
        assert_eq!(grouping.labels(), ["once", "2 times"]);
        assert_eq!([0, 1].map(|window| groups(&grouping, window, 3)), [[None, Some(1), Some(0)]; 2]);
    }

    #[test]
    fn the_next_class_is_that_of_the_token_after() {
        let texts = [" a", "b", "."].map(str::to_owned);
        let windows = windows(&[0, 1, 2, 0, 9, 1], 3);
        let next = TokenGroups::by_next_class(&windows, &texts).unwrap();
        assert_eq!(next.labels(), ["word start", "word continuation", "punctuation", "other"]);
        assert_eq!(groups(&next, 0, 3), [Some(1), Some(2), None]);
        // Token 9 has no text, and what follows it begins a word.
        assert_eq!(groups(&next, 1, 3), [Some(3), Some(0), None]);
        let parts = TokenGroups::by_word(&windows, &texts).unwrap();
        assert_eq!(parts.labels(), ["single token", "inside", "last token", "no word"]);
        assert_eq!(groups(&parts, 0, 3), [Some(1), Some(2), Some(3)]);
        assert_eq!(groups(&parts, 1, 3), [Some(0), Some(3), Some(0)]);
    }

    #[test]
    fn every_known_name_makes_a_grouping_of_that_name() {
        let (windows, texts) = (windows(&[0, 1, 2, 0], 2), [" a", "b", "."].map(str::to_owned));
        for name in TokenGroups::KNOWN {
            let grouping = TokenGroups::by_name(name, &windows, &texts).unwrap();
            assert_eq!(grouping.name(), name);
            let expected = if name == "next_class" { 2 } else { 4 };
            assert_eq!(grouping.sizes().iter().sum::<usize>(), expected, "{name}");
        }
        let message = TokenGroups::by_name("kind", &windows, &texts).unwrap_err().to_string();
        assert_eq!(message, "unknown grouping `kind`; known: class, frequency, position, word, next_class");
        assert!(TokenGroups::by_frequency(&windows.take(0)).is_err());
    }
}
