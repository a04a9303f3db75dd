//! Names that a user may have meant: [`hint`].

/// How many names are suggested.
const MOST: usize = 3;

/// A sentence with the names that are closest to `wanted`, or with all names where none is close.
pub(crate) fn hint<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> String {
    let mut all: Vec<(usize, &String)> = names.map(|name| (distance(wanted, name), name)).collect();
    if all.is_empty() {
        return "it has none".to_owned();
    }
    all.sort();
    let close =
        |(distance, name): &&(usize, &String)| *distance <= 3 || name.contains(wanted) || wanted.contains(*name);
    let listed = |names: Vec<&str>| names.join(", ");
    let near: Vec<&str> = all.iter().filter(close).take(MOST).map(|(_, name)| name.as_str()).collect();
    if near.is_empty() {
        let mut names: Vec<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        format!("it has {}", listed(names))
    } else {
        format!("did you mean {}?", listed(near))
    }
}

/// How many letters have to be added, taken away or replaced to make one word of the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested_and_otherwise_all_are_listed() {
        let names = ["delete_kl", "delete_nll", "swap_kl", "wic_accuracy"].map(String::from);
        assert_eq!(hint("delet_kl", names.iter()), "did you mean delete_kl, delete_nll?");
        assert_eq!(hint("wic", names.iter()), "did you mean wic_accuracy?");
        assert_eq!(hint("something", names.iter()), "it has delete_kl, delete_nll, swap_kl, wic_accuracy");
        assert_eq!(hint("x", [].iter()), "it has none");
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "abc")), (3, 3, 0));
    }
}
