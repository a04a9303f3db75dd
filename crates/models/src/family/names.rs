//! Names of stored tensors without what programs put before them: [`Names`].

use std::collections::BTreeMap;

use super::Recipe;
use crate::files::TensorFiles;
use crate::param::{Kind, Param, Part};

/// Parts of names that stand for a wrapper around a module, not for a module: of `torch.compile`, of data-parallel training,
/// of models that also read images.
const WRAPPERS: [&str; 3] = ["_orig_mod", "module", "language_model"];

/// What may stand before all names of a model: the attribute of an object that holds it.
const HOLDERS: [&str; 5] = ["", "model.", "transformer.", "model.transformer.", "transformer.model."];

/// The tensors of a checkpoint under the names that a recipe gives them. They are found once, when a checkpoint is opened.
#[derive(Debug)]
pub(crate) struct Names {
    /// The stored name of each tensor.
    stored: BTreeMap<String, String>,
    /// The prefix of the recipe's names that the checkpoint omits.
    left_out: &'static str,
}

impl Names {
    /// The names of the tensors of `files`, which are those of a checkpoint that `recipe` reads.
    pub(crate) fn find(files: &dyn TensorFiles, recipe: &Recipe) -> Self {
        let name = |part| (recipe.locate)(&recipe.config, Param { layer: None, part, kind: Kind::Weight }).name;
        Self::new(files, recipe.prefix, &[Part::Embed, Part::FinalNorm].map(name))
    }

    /// `prefix` is that of the recipe's names, and `always` are some of them that every checkpoint of it has, of which one may be
    /// stored under another name.
    fn new(files: &dyn TensorFiles, prefix: &'static str, always: &[String]) -> Self {
        let names: Vec<(String, String)> = files.names().into_iter().map(|name| (unwrapped(&name), name)).collect();
        let has = |holder: &str, left_out: &str| {
            let bare = always.iter().map(|name| name.strip_prefix(left_out).unwrap_or(name));
            let mut wanted = bare.map(|name| format!("{holder}{name}"));
            wanted.any(|wanted| names.iter().any(|(name, _)| *name == wanted))
        };
        let mut ways = HOLDERS.iter().flat_map(|holder| [(*holder, ""), (*holder, prefix)]);
        let found = ways.find(|(holder, left_out)| has(holder, left_out));
        let (holder, left_out) = found.unwrap_or(("", ""));
        let bare = |(name, full): (String, String)| (name.strip_prefix(holder).unwrap_or(&name).to_owned(), full);
        let mut names: Vec<_> = names.into_iter().map(bare).collect();
        names.sort_by_key(|(bare, full)| bare != full);
        let mut stored = BTreeMap::new();
        for (bare, full) in names {
            // A second tensor of one name is left over under its own, and refused.
            let name = if stored.contains_key(&bare) { full.clone() } else { bare };
            stored.insert(name, full);
        }
        Self { stored, left_out }
    }

    /// The name in the files of a tensor that has this name without wrappers; none where there is no such tensor.
    pub(super) fn stored(&self, name: &str) -> Option<&str> {
        self.stored.get(name).map(String::as_str)
    }

    /// All names without wrappers, sorted.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str)
    }

    /// A recipe's name without the prefix that the checkpoint omits.
    pub(super) fn without_prefix(&self, name: String) -> String {
        name.strip_prefix(self.left_out).map(str::to_owned).unwrap_or(name)
    }

    /// A name with the prefix that the checkpoint omits.
    pub(super) fn with_prefix(&self, name: &str) -> String {
        format!("{}{name}", self.left_out)
    }
}

/// A name without wrappers.
fn unwrapped(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::PathBuf;

    use super::*;
    use crate::Result;

    /// Files of tensors without values.
    struct Named(Vec<&'static str>);

    impl TensorFiles for Named {
        fn files(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(|name| (*name).to_owned()).collect()
        }

        fn shape(&self, name: &str) -> Option<Vec<usize>> {
            self.0.iter().position(|other| *other == name).map(|index| vec![index])
        }

        fn read(&self, _: &str, _: Range<usize>) -> Result<Vec<f32>> {
            Ok(Vec::new())
        }
    }

    /// What is left out, and the names that a recipe sees.
    fn seen(names: &[&'static str], prefix: &'static str, always: &str) -> (&'static str, Vec<String>) {
        let files = Named(names.to_vec());
        let found = Names::new(&files, prefix, &[always.to_owned()]);
        let seen: Vec<_> = found.all().map(str::to_owned).collect();
        assert!(seen.iter().all(|name| files.shape(found.stored(name).unwrap()).is_some()), "{seen:?}");
        (found.left_out, seen)
    }

    #[test]
    fn wrappers_are_taken_off_wherever_they_stand() {
        let plain = ["lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"];
        let wrapped = [
            [
                "_orig_mod.lm_head.weight",
                "_orig_mod.model.embed_tokens.weight",
                "_orig_mod.model.layers.0.mlp.up_proj.weight",
            ],
            ["lm_head.weight", "model.embed_tokens.weight", "model.layers.0._orig_mod.mlp.up_proj.weight"],
            ["module.lm_head.weight", "module.model.embed_tokens.weight", "module.model.layers.0.mlp.up_proj.weight"],
            [
                "lm_head.weight",
                "model.language_model.embed_tokens.weight",
                "model.language_model.layers.0.mlp.up_proj.weight",
            ],
            [
                "language_model.lm_head.weight",
                "language_model.model.embed_tokens.weight",
                "language_model.model.layers.0.mlp.up_proj.weight",
            ],
            ["model.lm_head.weight", "model.model.embed_tokens.weight", "model.model.layers.0.mlp.up_proj.weight"],
            [
                "transformer.lm_head.weight",
                "transformer.model.embed_tokens.weight",
                "transformer.model.layers.0.mlp.up_proj.weight",
            ],
        ];
        for names in [plain].iter().chain(&wrapped) {
            assert_eq!(seen(names, "model.", "model.embed_tokens.weight"), ("", plain.map(str::to_owned).to_vec()));
        }
    }

    #[test]
    fn a_prefix_may_be_left_out_or_be_another() {
        let bare = ["embed_tokens.weight", "layers.0.mlp.up_proj.weight"].map(str::to_owned).to_vec();
        for names in [
            ["embed_tokens.weight", "layers.0.mlp.up_proj.weight"],
            ["transformer.embed_tokens.weight", "transformer.layers.0.mlp.up_proj.weight"],
            ["_orig_mod.embed_tokens.weight", "_orig_mod.layers.0.mlp.up_proj.weight"],
        ] {
            assert_eq!(seen(&names, "model.", "model.embed_tokens.weight"), ("model.", bare.clone()));
        }
        assert_eq!(seen(&["wte.weight"], "transformer.", "transformer.wte.weight").0, "transformer.");
        assert_eq!(seen(&["transformer.wte.weight"], "transformer.", "transformer.wte.weight").0, "");
        let held = seen(&["model.transformer.wte.weight"], "transformer.", "transformer.wte.weight");
        assert_eq!(held, ("", vec!["transformer.wte.weight".to_owned()]));
        // What is not understood keeps its name, and so do the names of a GGUF.
        assert_eq!(seen(&["a.b"], "model.", "model.embed_tokens.weight"), ("", vec!["a.b".to_owned()]));
        assert_eq!(seen(&["token_embd.weight"], "", "token_embd.weight").1, ["token_embd.weight"]);
    }

    #[test]
    fn of_two_tensors_of_one_name_one_keeps_its_own() {
        let names = ["_orig_mod.norm.weight", "norm.weight"];
        assert_eq!(seen(&names, "", "norm.weight").1, names);
    }
}
