//! What is run: [`Intervention`], a plan and its edits.

use burn::tensor::Tensor;
use sha2::{Digest, Sha256};
use stratigraph_core::{Edit, EditTap, Hook, ModelShape, ResidualModel, TokenWindows, hex};

use crate::{LayerPlan, Result, SurgeryError};

/// A plan of layers and edits of what they compute.
///
/// It prints as text and parses from it, unless an edit holds tensors or a function. Interventions with equal plans and
/// edits are equal, whatever their names.
///
/// ```
/// use stratigraph_core::{Edit, Hook};
/// use stratigraph_surgery::{Intervention, LayerPlan};
///
/// let by_text: Intervention = "0..11-12..30 | blocks.3.attn.hook_z heads=2 zero".parse()?;
/// let by_code = LayerPlan::full(30).delete(11)?.edit(Edit::zero(Hook::Z.at(3)).with_heads([2]));
/// assert_eq!(by_text, by_code);
/// # Ok::<(), stratigraph_surgery::SurgeryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Intervention {
    name: Option<String>,
    plan: LayerPlan,
    edits: Vec<Edit>,
}

impl Intervention {
    /// The unchanged model of `n_layers` layers.
    pub fn none(n_layers: usize) -> Self {
        LayerPlan::full(n_layers).into()
    }

    /// With an edit. Edits at the same point are made in the order in which they were added.
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// With a name, such as `delete 11`, under which it is reported.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Its name, or its text where it has none.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.to_string())
    }

    /// The layers it runs.
    pub fn plan(&self) -> &LayerPlan {
        &self.plan
    }

    /// Its edits, in the order in which they are made at one point.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// The layer of each step, if the intervention is a plan of whole layers, as which a checkpoint can be written.
    ///
    /// # Errors
    /// When it has an edit, or a step is several layers side by side; the error names it.
    pub fn layers(&self) -> Result<Vec<usize>> {
        match self.edits.first() {
            Some(edit) => Err(SurgeryError::NotAPlan { edit: edit.to_string() }),
            None => self.plan.layers(),
        }
    }

    /// The first sixteen hexadecimal digits of the SHA-256 of its text: equal for equal interventions in every process.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.to_string())[..8])
    }

    /// Whether its text describes it completely, so that another process can read it.
    pub fn is_text(&self) -> bool {
        self.edits.iter().all(Edit::is_text)
    }

    /// Whether it takes values from a pass over the whole corpus.
    pub fn needs_corpus(&self) -> bool {
        self.edits.iter().any(Edit::needs_corpus)
    }

    /// Without the edits that change nothing in windows of `seq_len` tokens: those at later positions, or that hide keys further back.
    pub fn within(&self, seq_len: usize) -> Self {
        let edits = self.edits.iter().filter(|edit| edit.acts_within(seq_len)).cloned().collect();
        Self { edits, ..self.clone() }
    }

    /// The layer that an edit changes.
    pub(crate) fn layer_of(&self, edit: &Edit) -> Result<usize> {
        if edit.point().hook == Hook::Embed { Ok(0) } else { self.plan.layer_at(edit.point().slot) }
    }

    /// Checks that a model can run it on windows of `seq_len` tokens.
    ///
    /// # Errors
    /// When the plan names a layer that the model does not have; when an edit does not fit the model, is of layers that
    /// share a slot, or would never fire.
    pub fn check(&self, shape: &ModelShape, seq_len: usize) -> Result<()> {
        self.plan.validate(shape.n_layers)?;
        let n_slots = self.plan.steps().len();
        for edit in &self.edits {
            edit.check(shape, n_slots, seq_len)?;
            self.layer_of(edit)?;
        }
        Ok(())
    }

    /// Runs it on all windows at once, to the last residual stream `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// As [`check`](Intervention::check); when the windows do not fit the model; when an edit takes values from a corpus,
    /// which only an [`Executor`](crate::Executor) measures.
    pub fn run(&self, model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Tensor<3>> {
        windows.check(model)?;
        self.check(&model.shape(), windows.seq_len())?;
        let n_sequences = windows.n_sequences();
        let mut tap = EditTap::new(&self.edits, (0..n_sequences).collect());
        self.plan.run(model, windows.batch(0..n_sequences, &model.device()), &mut tap)
    }
}

impl PartialEq for Intervention {
    fn eq(&self, other: &Self) -> bool {
        (&self.plan, &self.edits) == (&other.plan, &other.edits)
    }
}

impl From<LayerPlan> for Intervention {
    fn from(plan: LayerPlan) -> Self {
        Self { name: None, plan, edits: Vec::new() }
    }
}

/// What a sweep does at a point: an intervention, a plan, or an edit of the model in its own order.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // one lives for each point of a sweep, and not for long
pub enum Change {
    /// A plan and its edits.
    Intervention(Intervention),
    /// One edit of the model in its own order of layers.
    Edit(Edit),
}

impl Change {
    /// The intervention that makes it on a model of `n_layers` layers.
    pub fn into_intervention(self, n_layers: usize) -> Intervention {
        match self {
            Change::Intervention(intervention) => intervention,
            Change::Edit(edit) => Intervention::none(n_layers).edit(edit),
        }
    }
}

impl From<Intervention> for Change {
    fn from(intervention: Intervention) -> Self {
        Change::Intervention(intervention)
    }
}

impl From<LayerPlan> for Change {
    fn from(plan: LayerPlan) -> Self {
        Change::Intervention(plan.into())
    }
}

impl From<Edit> for Change {
    fn from(edit: Edit) -> Self {
        Change::Edit(edit)
    }
}
