//! `stratigraph generate`: texts, chats, comparisons, and what is refused.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use stratigraph_testing::repository;

use crate::common::{fails, is_misused, path, program, run, succeeds, text};

const KING: [&str; 5] = ["generate", "--prompt", "The king said", "--max-new-tokens", "24"];

fn king<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&KING[..], more].concat()
}

#[test]
fn the_same_text_comes_with_and_without_kept_keys_and_values() {
    let greedy = succeeds(KING);
    assert!(greedy.trim().len() > 20, "{greedy}");
    assert_eq!(greedy, succeeds(king(&["--no-cache"])));
    assert_eq!(greedy, succeeds(king(&["--stream"])));
    let plan = ["--plan", "0-1-1..12"];
    assert_eq!(succeeds(king(&plan)), succeeds(king(&[&plan[..], &["--no-cache"]].concat())));
    assert_ne!(greedy, succeeds(king(&["--plan", "1..12"])));
    let edited = ["--intervention", "0..12 | blocks.2.hook_mlp_out pos=3.. zero"];
    assert_eq!(succeeds(king(&edited)), succeeds(king(&[&edited[..], &["--no-cache"]].concat())));
}

#[test]
fn draws_depend_on_the_seed() {
    let drawn = |seed| succeeds(king(&["--temperature", "1.5", "--top-k", "50", "--seed", seed]));
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
}

#[test]
fn a_text_ends_before_a_stop_string() {
    let whole = succeeds(KING);
    let chars: Vec<char> = whole.trim_end().chars().collect();
    let stop: String = chars[8..11].iter().collect();
    let stopped = succeeds(king(&["--stop", &stop.replace('\n', "\\n")]));
    assert_eq!(stopped.strip_suffix('\n').unwrap(), &whole[..whole.find(&stop).unwrap()]);
}

#[test]
fn several_prompts_are_told_apart() {
    let both = succeeds(king(&["--prompt", "Once"]));
    let king = succeeds(KING);
    assert!(both.starts_with("prompt 0:\n") && both.contains("\nprompt 1:\n"), "{both}");
    assert!(both.contains(king.trim_end()), "{both}");
}

#[test]
fn a_comparison_shows_both_texts_and_where_they_part() {
    let shown = succeeds(king(&["--plan", "1..12", "--compare"]));
    for part in ["clean", "changed", "the texts part at token ", "KL divergence along the clean text", "changed top-1"]
    {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let same = succeeds(king(&["--plan", "0..12", "--compare"]));
    assert!(same.contains("the texts are equal") && same.contains("mean 0.000 nats"), "{same}");
}

/// The model of the repository with a chat template.
fn with_template(template: &str) -> tempfile::TempDir {
    let (dir, tiny) = (tempfile::tempdir().unwrap(), repository().join("models/tiny"));
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(tiny.join(file), dir.path().join(file)).unwrap();
    }
    fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
    dir
}

#[test]
fn a_chat_template_reads_its_variables() {
    let template = "{% if enable_thinking is defined and enable_thinking is false %}{{ messages[-1].content }} said\
                    {% else %}{{ (tools or ['Once'])[0] }}{% endif %}";
    let dir = with_template(template);
    let chat = |more: &[&str]| {
        let usual = ["generate", "--model", path(dir.path()), "--bos", "never", "--max-new-tokens", "12", "--prompt"];
        succeeds([&usual[..], more].concat())
    };
    let (king, once) = (chat(&["The king said"]), chat(&["Once"]));
    assert_ne!(king, once);
    let given = |value: &str| chat(&["The king", "--chat", "--chat-var", value]);
    assert_eq!(given("enable_thinking=false"), king);
    assert_eq!(given("enable_thinking=true"), once, "a variable has its JSON type");
    assert_eq!(given("enable_thinking=\"false\""), once, "a text is not false");
    assert_eq!(given("tools=[\"The king said\"]"), king);
    let chat = ["generate", "--model", path(dir.path()), "--prompt", "a", "--chat", "--chat-var"];
    fails([&chat[..], &["thinking=false"]].concat(), "reads no such variable; it reads enable_thinking, tools");
    is_misused([&chat[..], &["enable_thinking=False"]].concat(), "the value is not JSON");
    is_misused([&chat[..], &["enable_thinking"]].concat(), "write NAME=VALUE");
    is_misused(["generate", "--prompt", "a", "--chat-var", "tools=1"].to_vec(), "--chat");
}

#[test]
fn standard_input_is_a_prompt_and_a_closed_pipe_is_no_error() {
    let mut child = program()
        .args(["generate", "--prompt", "-", "--max-new-tokens", "24"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"The king said").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), succeeds(KING));

    let mut child = program()
        .args(["generate", "--prompt", "The king said", "--max-new-tokens", "500", "--ignore-eos"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 4]).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_done_is_said() {
    fails(["generate", "--prompt", ""], "the prompt is empty, and no BOS token begins it");
    fails(king(&["--chat"]), "the model has no chat template");
    fails(king(&["--top-p", "2"]), "top-p is 2; it is above 0 and at most 1");
    fails(king(&["--intervention", "0..12 | blocks.0.hook_mlp_out mean"]), "generation has none");
    fails(king(&["--plan", "0..13"]), "layer 12 does not exist");
    let long = "word ".repeat(2000);
    fails(["generate", "--prompt", &long], "the model's context is");
    is_misused(king(&["--plan", "0..12", "--intervention", "0..12"]), "cannot be used with");
    is_misused(king(&["--system", "Be brief."]), "--chat");
    assert_eq!(run(["generate"]).status.code(), Some(2));
}
