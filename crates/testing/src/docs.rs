//! What the documentation tells readers to type: [`DocPage`], its [`DocBlock`]s, and the [`DocCommand`]s in them.

use std::fs;
use std::path::Path;

use crate::fixtures::repository;
use crate::shell::{program_arguments, shell_commands};

/// A Markdown file of the repository.
#[derive(Debug, Clone)]
pub struct DocPage {
    /// Its path from the root of the repository, such as `docs/lenses.md`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// A fenced block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocBlock {
    /// The line of the opening fence, from 1.
    pub line: usize,
    /// What follows the fence: the language, then marks, with commas between: `sh,download`.
    pub info: String,
    /// The lines in it, each with its end.
    pub text: String,
}

impl DocBlock {
    /// The language, such as `sh`; empty if the block names none.
    pub fn language(&self) -> &str {
        self.info.split(',').next().unwrap_or_default()
    }

    /// The marks after the language.
    pub fn marks(&self) -> impl Iterator<Item = &str> {
        self.info.split(',').skip(1)
    }
}

/// Text between backticks within a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocSpan {
    /// The line where it begins, from 1.
    pub line: usize,
    /// What is between the backticks; a space where a line ends.
    pub text: String,
}

/// A command line of the program in the documentation.
#[derive(Debug, Clone)]
pub struct DocCommand {
    /// Page and line, such as `docs/lenses.md:20`.
    pub place: String,
    /// The block it is in; `None` if it is between backticks in a paragraph.
    pub block: Option<DocBlock>,
    /// The line as it is written, continuation lines included.
    pub line: String,
    /// The arguments of `stratigraph`, as a shell would pass them.
    pub arguments: Vec<String>,
}

/// Every Markdown file of the repository that its readers see, by path.
///
/// # Panics
/// When a file cannot be read.
pub fn doc_pages() -> Vec<DocPage> {
    let root = repository();
    let mut paths = Vec::new();
    for folder in ["", "docs", "models", "examples", "crates", "scripts", "benches", "tests"] {
        collect(&root.join(folder), !folder.is_empty(), &mut paths);
    }
    let page = |path: std::path::PathBuf| DocPage {
        text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        path: path.strip_prefix(&root).expect("it is below").to_string_lossy().into_owned(),
    };
    let mut pages: Vec<_> = paths.into_iter().map(page).collect();
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

fn collect(folder: &Path, deep: bool, paths: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && deep && entry.file_name() != "target" {
            collect(&path, deep, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

impl DocPage {
    /// Its fenced blocks and the spans of its paragraphs.
    pub fn code(&self) -> (Vec<DocBlock>, Vec<DocSpan>) {
        let (mut blocks, mut spans) = (Vec::<DocBlock>::new(), Vec::new());
        let (mut open, mut paragraph, mut start) = (false, String::new(), 1);
        for (index, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            if let Some(block) = blocks.last_mut().filter(|_| open) {
                match fence {
                    Some(_) => open = false,
                    None => block.text += &format!("{line}\n"),
                }
                continue;
            }
            if fence.is_some() || line.trim().is_empty() || line.starts_with('|') {
                spans_of(&std::mem::take(&mut paragraph), start, &mut spans);
            }
            if paragraph.is_empty() {
                start = index + 1;
            }
            match fence {
                Some(info) => {
                    open = true;
                    blocks.push(DocBlock { line: index + 1, info: info.trim().to_owned(), text: String::new() });
                }
                None if line.trim().is_empty() => {}
                None => paragraph += &format!("{line}\n"),
            }
        }
        spans_of(&paragraph, start, &mut spans);
        (blocks, spans)
    }

    /// The command lines of the program in blocks of `sh` and between backticks.
    pub fn commands(&self) -> Vec<DocCommand> {
        let (blocks, spans) = self.code();
        let of_blocks = blocks.iter().filter(|block| block.language() == "sh").flat_map(|block| self.of_block(block));
        let of_spans = spans.iter().flat_map(|span| self.of_line(&span.text, span.line, None));
        of_blocks.chain(of_spans).collect()
    }

    fn of_block(&self, block: &DocBlock) -> Vec<DocCommand> {
        let (mut commands, mut whole, mut start) = (Vec::new(), String::new(), block.line + 1);
        for (index, line) in block.text.lines().enumerate() {
            if whole.is_empty() {
                start = block.line + 1 + index;
            }
            whole += line;
            if line.ends_with('\\') {
                whole.push('\n');
            } else {
                commands.extend(self.of_line(&std::mem::take(&mut whole), start, Some(block)));
            }
        }
        commands
    }

    fn of_line(&self, line: &str, number: usize, block: Option<&DocBlock>) -> Vec<DocCommand> {
        let all = shell_commands(line).into_iter().flat_map(|words| program_arguments(&words));
        let command = |arguments| DocCommand {
            place: format!("{}:{number}", self.path),
            block: block.cloned(),
            line: line.to_owned(),
            arguments,
        };
        all.map(command).collect()
    }
}

/// The text between backticks of a paragraph, which begins in the given line.
fn spans_of(paragraph: &str, start: usize, spans: &mut Vec<DocSpan>) {
    let (mut rest, mut line) = (paragraph, start);
    while let Some(begin) = rest.find('`') {
        line += rest[..begin].matches('\n').count();
        let ticks = rest[begin..].chars().take_while(|&c| c == '`').count();
        let inside = &rest[begin + ticks..];
        let Some(end) = inside.find(&"`".repeat(ticks)) else { return };
        let text = inside[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        spans.push(DocSpan { line, text });
        line += inside[..end].matches('\n').count();
        rest = &inside[end + ticks..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> DocPage {
        DocPage { path: "a.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn blocks_and_spans_have_their_lines() {
        let page =
            page("Use `stratigraph study\n--seed 1` and `x`.\n\n```sh,download\nls\n```\n\n| `--by` |\n| `--csv` |\n");
        let (blocks, spans) = page.code();
        assert_eq!(blocks, [DocBlock { line: 4, info: "sh,download".to_owned(), text: "ls\n".to_owned() }]);
        assert_eq!((blocks[0].language(), blocks[0].marks().collect::<Vec<_>>()), ("sh", vec!["download"]));
        let spans: Vec<_> = spans.iter().map(|span| (span.line, span.text.as_str())).collect();
        assert_eq!(spans, [(1, "stratigraph study --seed 1"), (2, "x"), (8, "--by"), (9, "--csv")]);
    }

    #[test]
    fn commands_are_found_in_blocks_and_spans() {
        let page =
            page("```sh\nls\nstratigraph study \\\n    --seed 1 # note\n```\n`stratigraph lens fit`, `stratigraph`\n");
        let commands = page.commands();
        assert_eq!(commands[0].arguments, ["study", "--seed", "1"]);
        assert_eq!((commands[0].place.as_str(), commands[0].block.is_some()), ("a.md:3", true));
        assert_eq!((commands[1].arguments.join(" ").as_str(), commands[1].place.as_str()), ("lens fit", "a.md:6"));
        assert!(commands.len() == 2 && commands[1].block.is_none());
    }
}
