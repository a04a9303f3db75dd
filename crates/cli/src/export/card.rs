//! The model card of an export: [`Card`].

use std::collections::BTreeMap;
use std::fmt;

use stratigraph_models::ExportSizes;

use super::numbers::Numbers;
use crate::output;

/// What `README.md` says; it displays as Markdown.
pub struct Card {
    pub title: String,
    /// The source's name in the hub, where it is a model of the hub.
    pub hub_name: Option<String>,
    pub source: String,
    pub sha256: String,
    /// Layers of the source.
    pub n_layers: usize,
    pub plan: String,
    pub layers: Vec<usize>,
    pub is_gguf: bool,
    pub sizes: ExportSizes,
    /// The arguments of the program.
    pub command: Vec<String>,
    pub numbers: Option<Numbers>,
    /// The record of the search that found the plan.
    pub search: Option<String>,
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.front_matter(f)?;
        writeln!(f, "# {}\n", self.title)?;
        writeln!(
            f,
            "{} with other layers: {}. The weights are those of the source, byte for byte; nothing was trained \
             afterwards.\n",
            self.source,
            self.what_changed()
        )?;
        writeln!(f, "| | |\n|---|---|")?;
        writeln!(f, "| source | {} |", self.source)?;
        writeln!(f, "| SHA-256 of the source | `{}` |", self.sha256)?;
        writeln!(f, "| layers of the source | {} |", self.n_layers)?;
        writeln!(f, "| layers here | {} |", self.layers.len())?;
        writeln!(f, "| plan | `{}` (half-open ranges of layers of the source, counted from 0) |", self.plan)?;
        let (size, repeated) = (output::size(self.sizes.bytes), output::size(self.sizes.repeated_bytes));
        writeln!(f, "| tensors | {size}, of which {repeated} are layers that are stored again |")?;
        writeln!(f, "| program | stratigraph {} |", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "\n```sh\n{}\n```", shell(&self.command))?;
        if self.numbers.is_none() && self.search.is_none() {
            writeln!(f, "\nNothing was measured.")?;
        }
        self.numbers.iter().try_for_each(|numbers| write!(f, "\n{numbers}"))?;
        self.search.iter().try_for_each(|search| write!(f, "\n{search}"))
    }
}

impl Card {
    /// What the hub reads.
    fn front_matter(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---")?;
        if let Some(name) = &self.hub_name {
            let (name, _) = name.split_once('@').unwrap_or((name, ""));
            writeln!(f, "base_model: {name}")?;
        }
        writeln!(f, "library_name: {}", if self.is_gguf { "gguf" } else { "transformers" })?;
        writeln!(f, "tags:\n- stratigraph\n- layer-surgery\n---\n")
    }

    /// Which layers are left out and which come more than once.
    fn what_changed(&self) -> String {
        let mut times = BTreeMap::<usize, usize>::new();
        self.layers.iter().for_each(|layer| *times.entry(*layer).or_default() += 1);
        let left_out: Vec<_> = (0..self.n_layers).filter(|layer| !times.contains_key(layer)).collect();
        let repeated: Vec<_> = times.iter().filter(|(_, n)| **n > 1).map(|(layer, _)| *layer).collect();
        let mut said = Vec::new();
        if !left_out.is_empty() {
            said.push(format!("without {}", named(&left_out)));
        }
        if !repeated.is_empty() {
            said.push(format!("{} more than once", named(&repeated)));
        }
        if !self.layers.is_sorted() {
            said.push("not in the order of the source".to_owned());
        }
        if said.is_empty() { "all of them, in the order of the source".to_owned() } else { said.join(", ") }
    }
}

fn named(layers: &[usize]) -> String {
    let list: Vec<_> = layers.iter().map(usize::to_string).collect();
    match layers {
        [layer] => format!("layer {layer}"),
        _ => format!("layers {}", list.join(", ")),
    }
}

/// A command as one types it.
fn shell(command: &[String]) -> String {
    let is_plain = |argument: &String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=+:@,%".contains(&byte);
        !argument.is_empty() && argument.bytes().all(plain)
    };
    let quoted = |argument: &String| match is_plain(argument) {
        true => argument.clone(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    };
    let mut command: Vec<_> = command.iter().map(quoted).collect();
    if let Some(program) = command.first_mut() {
        "stratigraph".clone_into(program); // wherever it lies
    }
    command.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again() {
        let command = ["target/stratigraph", "export", "--plan", "0-(1+2)", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&command), r"stratigraph export --plan '0-(1+2)' 'it'\''s' ''");
    }
}
