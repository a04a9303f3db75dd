//! Two texts side by side: [`side_by_side`].

/// Two texts under their titles, in columns that together are `width` characters wide. Lines break at spaces where there are
/// any.
pub fn side_by_side([left, right]: [&str; 2], titles: [&str; 2], width: usize) -> String {
    let column = width.saturating_sub(3).max(2) / 2;
    let [left, right] = [(left, titles[0]), (right, titles[1])].map(|(text, title)| {
        let rule = "-".repeat(column);
        [vec![title.chars().take(column).collect(), rule], wrapped(text, column)].concat()
    });
    let rows = left.len().max(right.len());
    let cell = |lines: &[String], row: usize| lines.get(row).cloned().unwrap_or_default();
    let row = |row: usize| {
        let left = cell(&left, row);
        let gap = " ".repeat(column.saturating_sub(left.chars().count()));
        format!("{left}{gap} | {}", cell(&right, row)).trim_end().to_owned()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

/// The lines of a text, none longer than `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrapped_line(line, width)).collect()
}

fn wrapped_line(line: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
    let (mut lines, mut start) = (Vec::new(), 0);
    while chars.len() - start > width {
        let end = start + width;
        // A space that follows the column ends its line, too.
        let space = (start + 1..=end).rev().find(|&at| chars[at] == ' ');
        let (stop, next) = space.map_or((end, end), |at| (at, at + 1));
        lines.push(chars[start..stop].iter().collect());
        start = next;
    }
    lines.push(chars[start..].iter().collect());
    lines
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
            let lines = wrapped("a bb  ccc dddd eeeeeeeeee", width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            assert_eq!(letters(&lines.concat()), "abbcccddddeeeeeeeeee");
        }
    }
}
