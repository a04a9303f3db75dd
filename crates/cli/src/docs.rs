//! Every command line of the documentation and of `--help` is one that the program understands.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};
use stratigraph_testing::{DocCommand, doc_pages, repository, shell_commands};

use crate::Cli;

/// Options of cargo that the documentation names by themselves.
const CARGO: [&str; 4] = ["release", "workspace", "features", "all-features"];

/// The subcommand that words call, and the words after its name.
fn resolve<'a>(command: &'a Command, words: &'a [String]) -> (&'a Command, &'a [String]) {
    match words.first().and_then(|word| command.find_subcommand(word)) {
        Some(subcommand) => resolve(subcommand, &words[1..]),
        None => (command, words),
    }
}

/// The name of a word that is a long option: `seed` of `--seed=1`.
fn option(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--")?.split('=').next()?;
    (!name.is_empty()).then_some(name)
}

/// Whether a subcommand has a long option; `steer-...` stands for all that begin so.
fn has(command: &Command, name: &str) -> bool {
    let mut names = command.get_arguments().flat_map(|it| it.get_long_and_visible_aliases().unwrap_or_default());
    match name.strip_suffix("...") {
        Some(prefix) => names.any(|name| name.starts_with(prefix)),
        None => names.any(|long| long == name),
    }
}

/// Whether text stands for something the reader or a shell fills in: `DIR`, `repeat_N`, `I/N`, `...`, `$(cat file)`, nothing.
fn is_placeholder(text: &str) -> bool {
    let mut parts = text.split(|c: char| !c.is_alphanumeric());
    text.is_empty()
        || ["...", "$("].iter().any(|open| text.contains(open))
        || parts.any(|part| !part.is_empty() && part.chars().all(char::is_uppercase))
}

/// Whether an error of clap comes from what a command in a sentence may leave open.
fn is_open(error: &clap::Error) -> bool {
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => value.clone(),
        _ => "a value".to_owned(),
    };
    match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => is_placeholder(&value(ContextKind::InvalidValue)),
        ErrorKind::InvalidSubcommand => is_placeholder(&value(ContextKind::InvalidSubcommand)),
        ErrorKind::UnknownArgument => value(ContextKind::InvalidArg) == "...",
        _ => false,
    }
}

/// Whether an error of clap is about a value that a shell puts in: `"$(cat plan.txt)"`.
fn is_of_shell(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.contains("$("))
}

/// What is wrong with the arguments of the program; in a sentence they may leave things open, in a block they may not.
fn complaint(program: &Command, arguments: &[String], in_sentence: bool) -> Option<String> {
    let (command, words) = resolve(program, arguments);
    if command.has_subcommands() && words.first().is_some_and(|word| !word.starts_with('-') && !is_placeholder(word)) {
        return Some(format!("`{}` has no subcommand {}", command.get_name(), words[0]));
    }
    if let Some(unknown) = words.iter().filter_map(|word| option(word)).find(|name| !has(command, name)) {
        return Some(format!("`{}` has no option --{unknown}", command.get_name()));
    }
    match Cli::try_parse_from([&["stratigraph".to_owned()], arguments].concat()) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp || error.kind() == ErrorKind::DisplayVersion => None,
        Err(error) if is_of_shell(&error) || (in_sentence && is_open(&error)) => None,
        Err(error) => Some(error.to_string()),
        Ok(_) => None,
    }
}

/// All subcommands, at any depth.
fn all<'a>(command: &'a Command, found: &mut Vec<&'a Command>) {
    found.push(command);
    command.get_subcommands().for_each(|subcommand| all(subcommand, found));
}

fn built() -> Command {
    let mut program = Cli::command();
    program.build();
    program
}

/// Whether this build has the subcommand.
fn is_built(command: &DocCommand) -> bool {
    cfg!(feature = "remote") || command.arguments[0] != "serve"
}

#[test]
fn command_lines_of_the_documentation_are_understood() {
    let program = built();
    let commands: Vec<_> = doc_pages().iter().flat_map(|page| page.commands()).filter(is_built).collect();
    assert!(commands.len() > 50, "{} command lines", commands.len());
    let wrong: Vec<_> = commands
        .iter()
        .filter_map(|command| {
            let complaint = complaint(&program, &command.arguments, command.block.is_none())?;
            Some(format!("{}: {}\n{complaint}", command.place, command.line))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn command_lines_of_every_help_are_understood() {
    let (program, mut commands) = (built(), Vec::new());
    all(&program, &mut commands);
    let help = |command: &&Command| command.get_after_help().map(ToString::to_string);
    let lines: Vec<_> =
        commands.iter().filter_map(help).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let examples: Vec<_> =
        lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("stratigraph ")).collect();
    assert!(examples.len() > 15, "{examples:?}");
    for words in examples.iter().flat_map(|line| shell_commands(line)) {
        let complaint = complaint(&program, &words[1..], false);
        assert!(complaint.is_none(), "{}: {}", words.join(" "), complaint.unwrap_or_default());
    }
}

#[test]
fn options_that_the_documentation_names_exist() {
    let (program, mut commands) = (built(), Vec::new());
    all(&program, &mut commands);
    let scripts = ["benches/peers/common.py", "benches/peers/run.py", "scripts/cluster/sweep.sbatch"];
    let scripts = scripts.map(|path| std::fs::read_to_string(repository().join(path)).unwrap()).concat();
    let is_known = |name: &str| {
        let of_feature = !cfg!(feature = "remote") && ["relays", "port"].contains(&name);
        of_feature
            || CARGO.contains(&name)
            || scripts.contains(&format!("--{name}"))
            || commands.iter().any(|command| has(command, name))
    };
    let mut n = 0;
    for page in doc_pages() {
        for span in page.code().1.iter().filter(|span| span.text.starts_with("--")) {
            let words = shell_commands(&span.text).into_iter().next().unwrap_or_default();
            for name in words.iter().filter_map(|word| option(word)) {
                n += 1;
                assert!(is_known(name), "{}:{}: no program here has --{name}", page.path, span.line);
            }
        }
    }
    assert!(n > 50, "{n} options");
}

/// The options of a subcommand that its help shows.
fn shown_options(command: &Command) -> Vec<&str> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set()).filter_map(|it| it.get_long());
    shown.filter(|name| !["help", "version"].contains(name)).collect()
}

/// The part of the page of options below the heading of a subcommand.
fn section<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("\n## {name}\n"))?;
    Some(rest.split_once("\n## ").map_or(rest, |(section, _)| section))
}

/// The options that neither the section of a subcommand names, nor that of `study` where the section refers to it.
fn missing(page: &str, words: &str, command: &Command) -> Vec<String> {
    let own = section(page, words).or_else(|| section(page, words.split(' ').next()?)).unwrap_or_default();
    let shared = if own.contains("as for `study`") { section(page, "study") } else { None };
    let names = |text: &str, name: &str| {
        let option = format!("--{name}");
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        text.match_indices(&option).any(|(at, _)| !goes_on(&text[at + option.len()..]))
    };
    let is_missing = |name: &&str| !names(own, name) && !shared.is_some_and(|text| names(text, name));
    shown_options(command).into_iter().filter(is_missing).map(|name| format!("{words} --{name}")).collect()
}

/// Every subcommand without subcommands of its own, by its words: `lens fit`.
fn leaves<'a>(command: &'a Command, words: &str, found: &mut Vec<(String, &'a Command)>) {
    for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
        let words = format!("{words} {}", subcommand.get_name()).trim().to_owned();
        match subcommand.has_subcommands() {
            true => leaves(subcommand, &words, found),
            false => found.push((words, subcommand)),
        }
    }
}

#[test]
fn every_option_stands_on_the_page_of_options() {
    let page = std::fs::read_to_string(repository().join("docs/program.md")).unwrap();
    let (program, mut subcommands) = (built(), Vec::new());
    leaves(&program, "", &mut subcommands);
    assert!(subcommands.len() > 10, "{subcommands:?}");
    let all: Vec<_> = subcommands.iter().flat_map(|(words, command)| missing(&page, words, command)).collect();
    assert!(all.is_empty(), "docs/program.md does not name {}", all.join(", "));
    let study = program.find_subcommand("study").unwrap();
    let short = "\n## study\n`--seed`, `--seed-other`\n## tasks\n`--model`\n";
    assert!(missing(short, "study", study).contains(&"study --model".to_owned()), "another section does not count");
    assert!(!missing(short, "study", study).contains(&"study --seed".to_owned()));
}

#[test]
fn stale_command_lines_are_found() {
    let program = built();
    let complaint = |line: &str, in_sentence| complaint(&program, &shell_commands(line)[0], in_sentence);
    for (line, part) in [
        ("study --sequence 3", "no option --sequence"),
        ("sweeep plan job", "no subcommand sweeep"),
        ("study --experiments delte", "unknown experiment `delte`"),
        ("study --experiments NAMES --no-such", "no option --no-such"),
        ("sweep run job --shard 2/2", "2/2"),
        ("study more", "more"),
    ] {
        for in_sentence in [false, true] {
            let found = complaint(line, in_sentence).unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(found.contains(part), "{found}");
        }
    }
    for line in
        ["study --experiments NAMES", "study --experiments repeat_N", "sweep plan --by", "lens fit ...", "compare"]
    {
        assert_eq!(complaint(line, true), None);
        assert!(complaint(line, false).is_some(), "{line}");
    }
    assert_eq!(complaint("study --seed 1", false), None);
    assert_eq!(complaint("study --intervention \"$(cat plan.txt)\"", false), None);
    assert_eq!(complaint("SUBCOMMAND --help", true), None);
}
