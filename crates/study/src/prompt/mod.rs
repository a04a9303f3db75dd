//! One prompt, layer by layer: [`PromptStudy`], which makes a [`PromptReading`].

mod answers;
mod attention;
mod attribution;
mod deletion;
mod lenses;
mod patching;

use std::sync::Arc;

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::lens::{Lens, LogitLens};
use stratigraph_probes::readout::Readout;
use stratigraph_profile::prompt::PromptReading;
use stratigraph_surgery::Budget;

use crate::records::model_record;
use crate::{Result, StudyError, versions};

/// Reads one prompt: what lenses predict at each residual position, what the deletion of each layer does after each token, where
/// heads look, what raises one token's logit over another's, and which activations carry the answer.
///
/// ```
/// use stratigraph_models::Checkpoint;
/// use stratigraph_study::{Backend, PromptStudy};
///
/// let checkpoint = Checkpoint::open("../../models/tiny")?;
/// let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
/// let prompt = tokenizer.prompt("The people of the United States of")?;
/// let reading = PromptStudy::new(&model, &prompt)?.with_texts(|id| tokenizer.decode(&[id]).unwrap_or_default()).read()?;
///
/// let output = reading.lenses[0].output().last().expect("the prompt has tokens");
/// println!("{}, {:.2}", reading.texts.of(output.top[0].id), output.top[0].probability);
/// assert_eq!((output.kl, output.output_rank), (0.0, 1)); // the lens after the last layer is the model
/// let attribution = reading.attribution.as_ref().expect("the model gives its weights");
/// assert!((attribution.sum() - attribution.difference).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PromptStudy<'a> {
    model: &'a dyn ResidualModel,
    prompt: TokenWindows,
    lenses: Vec<Arc<dyn Lens>>,
    top_k: usize,
    budget: Budget,
    token: Option<u32>,
    against: Option<u32>,
    corrupted: Option<Vec<u32>>,
    texts: Box<dyn Fn(u32) -> String + 'a>,
    name: String,
}

impl<'a> PromptStudy<'a> {
    /// How many of the most likely tokens are kept by default.
    pub const TOP_K: usize = 5;

    /// The longest prompt that [`read`](Self::read) takes: the attention of all heads grows with its square.
    pub const LONGEST: usize = 256;

    /// Neurons that are kept.
    const NEURONS: usize = 24;

    /// A study of the only window of `prompt`, by the logit lens. All positions count, whatever the windows say.
    ///
    /// # Errors
    /// When there is not exactly one window, or it does not fit the model.
    pub fn new(model: &'a dyn ResidualModel, prompt: &TokenWindows) -> Result<Self> {
        if prompt.n_sequences() != 1 {
            let reason = format!("it takes one window, and there are {}", prompt.n_sequences());
            return Err(cannot(reason));
        }
        prompt.check(model)?;
        let ids = prompt.sequence(0);
        let own = TokenWindows::new(ids, ids.len())?;
        let prompt = match prompt.bos() {
            Some(bos) => own.with_bos(bos)?,
            None => own,
        };
        Ok(Self {
            model,
            prompt,
            lenses: vec![Arc::new(LogitLens)],
            top_k: Self::TOP_K,
            budget: Budget::default(),
            token: None,
            against: None,
            corrupted: None,
            texts: Box::new(|id| format!("#{id}")),
            name: String::new(),
        })
    }

    /// With one more lens.
    pub fn with_lens(mut self, lens: Arc<dyn Lens>) -> Self {
        self.lenses.push(lens);
        self
    }

    /// With another number of most likely tokens that are kept; the whole vocabulary where it has fewer.
    pub fn with_top_k(self, top_k: usize) -> Self {
        Self { top_k, ..self }
    }

    /// With another memory budget.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The token whose logit is attributed; by default the most likely one after the last position.
    pub fn with_token(self, token: u32) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The token that it is compared with; by default the most likely one after the other prompt, where there is one, or else the
    /// second most likely one after this prompt.
    pub fn against(self, token: u32) -> Self {
        Self { against: Some(token), ..self }
    }

    /// Another prompt of the same length, BOS included, into whose run activations of this prompt are patched.
    pub fn with_corrupted(self, tokens: Vec<u32>) -> Self {
        Self { corrupted: Some(tokens), ..self }
    }

    /// With the text of a token, as it is after a letter.
    pub fn with_texts(self, texts: impl Fn(u32) -> String + 'a) -> Self {
        Self { texts: Box::new(texts), ..self }
    }

    /// With the name of the model.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// What the lenses read, and nothing else.
    ///
    /// # Errors
    /// When a lens is of another model, two have the same name, or a number is not finite.
    pub fn read_lenses(&self) -> Result<PromptReading> {
        let reading = lenses::grids(self)?.into_iter().fold(self.reading(), PromptReading::with_lens);
        Ok(self.named(reading))
    }

    /// Everything. What the model does not allow is left out, and a remark says so.
    ///
    /// # Errors
    /// As [`read_lenses`](Self::read_lenses); when the prompt is longer than [`LONGEST`](Self::LONGEST), a token is outside the
    /// vocabulary, or the other prompt has another length or gives the same answer.
    pub fn read(&self) -> Result<PromptReading> {
        let n = self.prompt.seq_len();
        if n > Self::LONGEST {
            let reason = format!("it takes prompts of at most {} tokens, and this one has {n}", Self::LONGEST);
            return Err(cannot(reason));
        }
        let mut reading = self.read_lenses()?;
        reading.deletion = Some(deletion::grid(self)?);
        attention::add(self, &mut reading)?;
        attribution::add(self, &mut reading)?;
        patching::add(self, &mut reading)?;
        Ok(self.named(reading))
    }

    /// A reading with its record, of nothing yet.
    fn reading(&self) -> PromptReading {
        let mut reading = PromptReading::new(model_record(self.model, &self.name), self.prompt.ids().to_vec());
        reading.versions = versions();
        reading.beginning_with_bos(self.prompt.bos().is_some())
    }

    /// With the text of every token that is mentioned.
    fn named(&self, reading: PromptReading) -> PromptReading {
        reading.mentioned().into_iter().fold(reading, |reading, id| {
            if reading.texts.contains(id) { reading } else { reading.with_text(id, (self.texts)(id)) }
        })
    }

    /// A readout with its part of the budget.
    fn readout(&self) -> Readout<'a> {
        Readout::new(self.model).with_bytes(self.budget.bytes / 4)
    }
}

fn cannot(reason: String) -> StudyError {
    StudyError::CannotMeasure { name: "a prompt".to_owned(), reason }
}
