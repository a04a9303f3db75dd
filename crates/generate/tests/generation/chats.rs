//! Chat templates give the texts that transformers gives.

use std::fs;

use serde_json::Value;
use stratigraph_generate::chat::{ChatMessage, ChatTemplate};
use stratigraph_testing::fixture;

fn messages(case: &Value) -> Vec<ChatMessage> {
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
    let all = case["messages"].as_array().unwrap().iter();
    all.map(|message| ChatMessage::new(text(message, "role"), text(message, "content"))).collect()
}

#[test]
fn templates_give_the_texts_of_transformers() {
    let fixture: Value = serde_json::from_slice(&fs::read(fixture("chat-templates.json")).unwrap()).unwrap();
    let tokens = fixture["special_tokens"].as_object().unwrap();
    let (mut n_texts, mut n_errors) = (0, 0);
    for (name, entry) in fixture["templates"].as_object().unwrap() {
        let mut template = ChatTemplate::new(entry["template"].as_str().unwrap()).unwrap();
        for (token, text) in tokens {
            template = template.with_special_token(token, text.as_str().unwrap());
        }
        for case in entry["cases"].as_array().unwrap() {
            let with_prompt = case["add_generation_prompt"].as_bool().unwrap();
            let template = template.clone();
            let template = if with_prompt { template } else { template.without_generation_prompt() };
            let variables = case["variables"].as_object().into_iter().flatten();
            let variables = variables.map(|(name, json)| format!("{name}={}", json.as_str().unwrap()).parse().unwrap());
            let found = variables.fold(template, ChatTemplate::with).render(&messages(case));
            match case["text"].as_str() {
                Some(expected) => {
                    assert_eq!(found.as_deref(), Ok(expected), "{name}: {case}");
                    n_texts += 1;
                }
                None => {
                    let (message, expected) = (found.unwrap_err().to_string(), case["error"].as_str().unwrap());
                    assert!(message.contains(expected), "{name}: {message}, expected {expected}");
                    n_errors += 1;
                }
            }
        }
    }
    assert!(n_texts >= 70 && n_errors >= 2, "{n_texts} {n_errors}");
}

#[test]
fn variables_and_the_date_reach_the_template() {
    let source =
        "{% if enable_thinking is defined and enable_thinking is false %}quick{% endif %} {{ strftime_now('%Y') }}";
    let text = ChatTemplate::new(source).unwrap().with_variable("enable_thinking", false).render(&[]).unwrap();
    let year: u32 = text.strip_prefix("quick ").unwrap().parse().unwrap();
    assert!(year >= 2025);
}

#[test]
fn a_variable_that_a_template_sets_from_itself_is_one_that_it_reads() {
    let source = "{%- set enable_thinking = enable_thinking if enable_thinking is defined else True %}\
                  {%- set n = 0 %}{% for m in messages %}{% set n = n + 1 %}{% endfor %}{{ enable_thinking }}";
    let template = ChatTemplate::new(source).unwrap();
    assert!(template.variables().eq(["enable_thinking"]));
    assert_eq!(template.render(&[]).unwrap(), "True");
    assert_eq!(template.with_variable("enable_thinking", false).render(&[]).unwrap(), "False");
}

#[test]
fn a_text_of_a_template_may_look_like_a_tag() {
    assert_eq!(ChatTemplate::new("{{ '{%}' }}").unwrap().render(&[]).unwrap(), "{%}");
}

#[test]
fn a_text_that_is_no_template_is_refused() {
    let message = ChatTemplate::new("{% for m in %}").unwrap_err().to_string();
    assert!(message.starts_with("the chat template fails: ") && message.contains("(line 1)"), "{message}");
    let unknown = ChatTemplate::new("{{ messages[0].nothing.more }}").unwrap();
    assert!(unknown.render(&[ChatMessage::user("a")]).is_err());
}
