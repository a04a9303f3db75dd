//! Lines of a shell as far as documentation uses them: [`shell_commands`], and which of them run the program,
//! [`program_arguments`].

/// The words of each simple command of a line: quotes are taken off, comments and redirections left out.
pub fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let mut reader = Reader::default();
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (reader.quote, c) {
            (Some(quote), c) if c == quote => reader.quote = None,
            (Some('"'), '\\') | (None, '\\') => match characters.next() {
                Some('\n') | None => {}
                Some(next) => reader.push(next),
            },
            (Some(_), c) => reader.push(c),
            (None, '"' | '\'') => {
                reader.quote = Some(c);
                reader.word.get_or_insert_default();
            }
            (None, '#') if reader.word.is_none() => break,
            (None, '|' | ';' | '&') => reader.end_command(),
            (None, '>') => reader.redirect(),
            (None, c) if c.is_whitespace() => reader.end_word(),
            (None, c) => reader.push(c),
        }
    }
    reader.end_command();
    reader.commands
}

/// What has been read of a line.
#[derive(Default)]
struct Reader {
    commands: Vec<Vec<String>>,
    command: Vec<String>,
    word: Option<String>,
    quote: Option<char>,
    redirects: bool,
}

impl Reader {
    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.redirects)
        {
            self.command.push(word);
        }
    }

    /// `>`, or `2>`: the next word is a file.
    fn redirect(&mut self) {
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.redirects = true;
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirects = false;
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }
}

/// The arguments of each run of the program in a simple command: `stratigraph ...`, `cargo run -p stratigraph-cli -- ...`, also
/// after another program and within a quoted word.
pub fn program_arguments(words: &[String]) -> Vec<Vec<String>> {
    let begins = |(index, word): (usize, &String)| match word.as_str() {
        "stratigraph" => Some(index + 1),
        "stratigraph-cli" if words[0] == "cargo" => {
            Some(index + 1 + words[index..].iter().position(|word| word == "--")?)
        }
        _ => None,
    };
    let nested = words.iter().filter(|word| word.contains("stratigraph ")).flat_map(|word| shell_commands(word));
    let mut all: Vec<_> = nested.flat_map(|words| program_arguments(&words)).collect();
    if let Some(begin) = words.iter().enumerate().find_map(begins)
        && begin < words.len()
    {
        all.push(words[begin..].to_vec());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<String> {
        let all = shell_commands(line).into_iter().flat_map(|words| program_arguments(&words));
        all.map(|words| words.join("+")).collect()
    }

    #[test]
    fn words_are_those_of_a_shell() {
        let commands = shell_commands("A=1 x 'a b' \"c|\\\"d\" e\\ f > out 2> err # no\n");
        assert_eq!(commands, [["A=1", "x", "a b", "c|\"d", "e f"]]);
        assert_eq!(shell_commands("a b#c \\\n d | e && f;"), [vec!["a", "b#c", "d"], vec!["e"], vec!["f"]]);
        assert_eq!(shell_commands("x ''"), [["x", ""]]);
        assert!(shell_commands("  # nothing").is_empty());
    }

    #[test]
    fn the_program_is_found_wherever_it_is_run() {
        assert_eq!(arguments("stratigraph study --seed 1"), ["study+--seed+1"]);
        assert_eq!(arguments("X=1 perf record stratigraph study | head"), ["study"]);
        assert_eq!(arguments("cargo run --release -p stratigraph-cli -- study --out o"), ["study+--out+o"]);
        assert_eq!(arguments("sbatch --wrap \"stratigraph sweep merge a --out b\""), ["sweep+merge+a+--out+b"]);
        assert!(arguments("cargo test -p stratigraph-cli; stratigraph; ls stratigraph-x").is_empty());
    }
}
