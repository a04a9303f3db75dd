//! Two texts side by side: [`side_by_side`].

use crate::width;

/// Two texts under their titles, which together take `width` columns of a terminal. Lines break at spaces where there are
/// any.
pub fn side_by_side([left, right]: [&str; 2], titles: [&str; 2], width: usize) -> String {
    let column = width.saturating_sub(3).max(2) / 2;
    let [left, right] = [(left, titles[0]), (right, titles[1])].map(|(text, title)| {
        let rule = "-".repeat(column);
        [vec![title.chars().take(column).collect(), rule], wrapped(text, column)].concat() // titles are ASCII
    });
    let rows = left.len().max(right.len());
    let cell = |lines: &[String], row: usize| lines.get(row).cloned().unwrap_or_default();
    let row = |row: usize| {
        format!("{} | {}", width::padded(&cell(&left, row), column), cell(&right, row)).trim_end().to_owned()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

/// The lines of a text, none wider than `width` columns unless its only character is.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrapped_line(line, width)).collect()
}

fn wrapped_line(line: &str, width: usize) -> Vec<String> {
    let line = line.replace('\t', " ");
    let (mut lines, mut rest) = (Vec::new(), &line[..]);
    while width::columns(rest) > width {
        let end = fitting(rest, width);
        // A space that follows the column ends its line, too.
        let space = rest.char_indices().take_while(|(at, _)| *at <= end).filter(|(at, c)| *at > 0 && *c == ' ').last();
        let (stop, next) = space.map_or((end, end), |(at, _)| (at, at + 1));
        lines.push(rest[..stop].to_owned());
        rest = &rest[next..];
    }
    lines.push(rest.to_owned());
    lines
}

/// The bytes of the longest beginning of a text that `width` columns hold; one character at least.
fn fitting(text: &str, width: usize) -> usize {
    let mut ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let first = ends.next().unwrap_or(0);
    ends.take_while(|end| width::columns(&text[..*end]) <= width).last().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_break_at_spaces_and_long_words_where_they_must() {
        let table = side_by_side(["one two three", "abcdefghij k\nl"], ["clean", "changed"], 19);
        let expected = "clean    | changed\n\
                        -------- | --------\n\
                        one two  | abcdefgh\n\
                        three    | ij k\n         | l";
        assert_eq!(table, expected);
        assert!(side_by_side(["", "é"], ["a", "b"], 0).ends_with("| é"));
    }

    #[test]
    fn no_character_is_lost() {
        for width in 1..12 {
            let lines = wrapped("a bb  ccc dddd eeeeeeeeee 日本語", width);
            let fits = |line: &String| width::columns(line) <= width.max(2);
            assert!(lines.iter().all(fits), "{width}: {lines:?}");
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            assert_eq!(letters(&lines.concat()), "abbcccddddeeeeeeeeee日本語");
        }
    }

    #[test]
    fn wide_characters_keep_their_columns() {
        let table = side_by_side(["日本語の文", "wide"], ["clean", "changed"], 15);
        let expected = "clean  | change\n\
                        ------ | ------\n\
                        日本語 | wide\nの文   |";
        assert_eq!(table, expected);
    }
}
