//! Prompts as token ids: [`encode`].

use std::borrow::Cow;
use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use stratigraph_generate::chat::{ChatMessage, ChatTemplate, ChatVariable};
use stratigraph_models::{Checkpoint, Tokenizer};

use super::args::PromptArgs;
use crate::corpus::BosArg;

/// The tokens of each prompt.
///
/// # Errors
/// When a prompt has no tokens, standard input cannot be read, or there is no chat template to put it into.
pub fn encode(args: &PromptArgs, checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>> {
    ensure!(args.prompts.iter().filter(|prompt| *prompt == "-").count() <= 1, "standard input is one prompt");
    let template = if args.chat { Some(template(checkpoint, &args.variables)?) } else { None };
    let encode = |prompt: &String| {
        let text = read(prompt)?;
        let ids = match &template {
            Some(template) => tokenizer.encode(&template.render(&messages(&text, args.system.as_deref()))?)?,
            None => tokenizer.encode(&text)?,
        };
        let ids = match bos(args, tokenizer)? {
            Some(bos) if ids.first() != Some(&bos) => [&[bos], &ids[..]].concat(),
            _ => ids,
        };
        if ids.is_empty() {
            bail!("the prompt is empty, and no BOS token begins it: write a text, or give --bos always");
        }
        Ok(ids)
    };
    args.prompts.iter().map(encode).collect()
}

fn read(prompt: &str) -> Result<Cow<'_, str>> {
    if prompt != "-" {
        return Ok(prompt.into());
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text.into())
}

fn messages(text: &str, system: Option<&str>) -> Vec<ChatMessage> {
    system.map(ChatMessage::system).into_iter().chain([ChatMessage::user(text)]).collect()
}

fn template(checkpoint: &Checkpoint, variables: &[ChatVariable]) -> Result<ChatTemplate> {
    let Some(format) = checkpoint.chat_format()? else {
        bail!("the model has no chat template, so --chat cannot be used");
    };
    let template = ChatTemplate::new(format.template)?;
    let template = format
        .special_tokens
        .into_iter()
        .fold(template, |template, (role, text)| template.with_special_token(role, text));
    let known: Vec<String> = template.variables().collect();
    for name in variables.iter().map(ChatVariable::name) {
        let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        ensure!(
            known.iter().any(|it| it == name),
            "--chat-var {name}: the chat template reads no such variable; it reads {names}"
        );
    }
    Ok(variables.iter().cloned().fold(template, ChatTemplate::with))
}

/// The token that a prompt begins with, if it does; a template says what begins a conversation.
fn bos(args: &PromptArgs, tokenizer: &Tokenizer) -> Result<Option<u32>> {
    match args.bos {
        BosArg::Auto if args.chat => Ok(None),
        bos => bos.token(tokenizer),
    }
}
