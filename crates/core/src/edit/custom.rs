//! A user's own edit: [`EditFunction`], which is given an [`EditContext`].

use std::fmt;
use std::sync::Arc;

use crate::{Activation, Hook, Result};

/// Where a function of an edit is called.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EditContext<'a> {
    /// The layer whose weights run.
    pub layer: usize,
    /// The hook.
    pub hook: Hook,
    /// Which window of the corpus each row of the batch is.
    pub windows: &'a [usize],
    /// The position in its window of the activation's first row: 0 where whole windows run. For scores and patterns it is
    /// the position of the first query.
    pub first: usize,
}

impl<'a> EditContext<'a> {
    pub(crate) fn new(layer: usize, hook: Hook, windows: &'a [usize]) -> Self {
        Self { layer, hook, windows, first: 0 }
    }

    pub(crate) fn starting_at(self, first: usize) -> Self {
        Self { first, ..self }
    }
}

type Function = dyn Fn(Activation, &EditContext) -> Result<Activation> + Send + Sync;

/// A function from an activation to another of the same shape, known by its id.
#[derive(Clone)]
pub struct EditFunction {
    id: Arc<str>,
    function: Arc<Function>,
    takes_parts: bool,
}

impl EditFunction {
    /// A function with an id; functions with the same id are taken to be equal.
    pub fn new(
        id: &str,
        function: impl Fn(Activation, &EditContext) -> Result<Activation> + Send + Sync + 'static,
    ) -> Self {
        Self { id: id.into(), function: Arc::new(function), takes_parts: false }
    }

    /// Says that the function treats each position separately (each query, for scores and patterns), so that it may be given
    /// only some positions of a window, from the context's `first` on. Otherwise generation runs whole windows for it.
    ///
    /// ```
    /// use stratigraph_core::{Edit, EditFunction, EditKind, Hook};
    /// let same = EditFunction::new("same", |activation, _| Ok(activation)).position_wise();
    /// let edit = Edit::new(Hook::MlpOut.at(3), EditKind::Custom(same));
    /// assert!(edit.takes_parts());
    /// ```
    pub fn position_wise(self) -> Self {
        Self { takes_parts: true, ..self }
    }

    pub(crate) fn takes_parts(&self) -> bool {
        self.takes_parts
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn call(&self, activation: Activation, context: &EditContext) -> Result<Activation> {
        (self.function)(activation, context)
    }
}

impl PartialEq for EditFunction {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for EditFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EditFunction({})", self.id)
    }
}
