//! How one checkpoint becomes a decoder: [`Recipe`], with the place of each parameter, [`Stored`].

use std::collections::BTreeMap;

use super::keys::Keys;
use super::{Format, Layout, gguf, hf};
use crate::param::Param;
use crate::{DecoderConfig, Result};

/// Where a parameter is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub(super) name: String,
    pub(super) layout: Layout,
}

impl Stored {
    /// A tensor's name, and how it differs from the layout of this crate.
    pub fn new(name: impl Into<String>, layout: Layout) -> Self {
        Self { name: name.into(), layout }
    }

    /// Where Llama and its descendants store a parameter.
    pub fn as_in_llama(config: &DecoderConfig, param: Param) -> Self {
        hf::stored(config, param)
    }
}

/// The shape and the elements of stored tensors, by name.
pub(crate) type StoredTensors<T> = BTreeMap<String, (Vec<usize>, Vec<T>)>;

/// Where each parameter is stored.
pub(super) type Locate = fn(&DecoderConfig, Param) -> Stored;
/// Whether a tensor that no parameter uses is allowed.
pub(super) type Ignorable = fn(&DecoderConfig, &str) -> bool;

/// How one checkpoint becomes a decoder.
#[derive(Debug)]
pub struct Recipe {
    pub(crate) config: DecoderConfig,
    /// The prefix of the names that `locate` gives; a checkpoint may omit it from all of them.
    pub(super) prefix: &'static str,
    pub(super) locate: Locate,
    ignorable: Ignorable,
    /// Whether the checkpoint also has the tensors of a vision model.
    pub(super) is_text_model: bool,
    /// Whether weights are stored in MXFP4.
    pub(crate) in_mxfp4: bool,
    /// Configuration keys that were not read.
    pub(crate) unread_keys: Vec<String>,
}

impl Recipe {
    /// A decoder of this shape, whose parameters are stored where `locate` says. `prefix`, such as `model.`, begins the names
    /// of all tensors but the head's, and a checkpoint of the model without its head may leave it out.
    pub fn new(config: DecoderConfig, prefix: &'static str, locate: fn(&DecoderConfig, Param) -> Stored) -> Self {
        Self {
            config,
            prefix,
            locate,
            ignorable: |_, _| false,
            is_text_model: false,
            in_mxfp4: false,
            unread_keys: Vec::new(),
        }
    }

    /// A decoder whose parameters are stored where Llama stores them.
    pub(super) fn like_llama(config: DecoderConfig) -> Self {
        Self::new(config, hf::PREFIX, hf::stored)
    }

    pub(super) fn gguf(config: DecoderConfig, locate: Locate) -> Self {
        Self::new(config, "", locate).ignoring(gguf::ignorable)
    }

    /// With weights in MXFP4, each of which is one tensor for `locate`.
    pub(super) fn in_mxfp4(self) -> Self {
        Self { in_mxfp4: true, ..self }
    }

    /// Allows tensors that no parameter uses.
    pub(super) fn ignoring(self, ignorable: Ignorable) -> Self {
        Self { ignorable, ..self }
    }

    /// The text model of a vision-language model, whose configuration `text` is inside that of the whole.
    pub(super) fn of_text_model(self, text: &mut Keys) -> Result<Self> {
        let recipe = self.checked(text, Format::HuggingFace, "text_config.")?;
        Ok(Self { is_text_model: true, ..recipe })
    }

    /// Refuses a configuration whose numbers do not fit each other or that has an unknown key that matters; records the
    /// other unknown keys.
    pub(super) fn checked(mut self, keys: &mut Keys, format: Format, prefix: &str) -> Result<Self> {
        keys.refuse_what_matters(format, prefix)?;
        self.unread_keys.extend(keys.unread(format).into_iter().map(|key| format!("{prefix}{key}")));
        self.config.validate()?;
        Ok(self)
    }

    /// Whether a tensor that no parameter uses has no effect on the decoder.
    pub(super) fn ignores(&self, name: &str) -> bool {
        let sees_images = ["vision_tower.", "multi_modal_projector.", "vision_model.", "embed_vision."];
        let bare = name.strip_prefix("model.").unwrap_or(name);
        // Rotary frequencies follow from the configuration; older checkpoints store them for each layer, or once.
        name.ends_with("rotary_emb.inv_freq")
            || (self.is_text_model && sees_images.iter().any(|prefix| bare.starts_with(prefix)))
            || (self.ignorable)(&self.config, name)
    }

    /// Puts a parameter of `shape` into the tensor, by name, that stores it or that it is a part of.
    pub(crate) fn put(&self, param: Param, shape: &[usize], values: &[f32], tensors: &mut StoredTensors<f32>) {
        let Stored { name, layout } = (self.locate)(&self.config, param);
        let stored_shape = layout.stored_shape(shape).expect("the shape of a tensor in memory");
        let len = stored_shape.iter().product();
        let (_, stored) = tensors.entry(name).or_insert_with(|| (stored_shape, vec![0.0; len]));
        layout.put(values, shape, stored);
    }
}
