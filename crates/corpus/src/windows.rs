//! Which windows a corpus is cut into: [`Windows`], with its [`Draw`], [`SampleOver`] and [`BosMode`].

use stratigraph_core::{TokenWindows, WindowSampling};

use crate::{BosToken, CorpusError, Result};

/// Which windows of the documents are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Draw {
    /// [`First`](Draw::First) for a single text file that is not longer than the windows asked for, otherwise
    /// [`Random`](Draw::Random).
    #[default]
    Auto,
    /// One after the other from the beginning of each document, document after document.
    First,
    /// At random by the seed.
    Random,
}

/// What has the same chance of being drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SampleOver {
    /// Documents: each gives the same number of windows, if it has that many.
    #[default]
    Documents,
    /// Tokens: each window of the corpus has the same chance, so that a document gives windows in proportion to its tokens. About
    /// four times as many documents are encoded as over documents, since their tokens are not known before.
    Tokens,
}

/// Whether windows begin with the token that begins a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BosMode {
    /// Where the model was trained on texts that begin with it, as far as the tokenizer says.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl BosMode {
    /// The token that windows and prompts begin with.
    ///
    /// # Errors
    /// [`CorpusError::NoBos`] when they always begin with one, and the tokenizer knows none.
    pub fn token(self, bos: BosToken) -> Result<Option<u32>> {
        match self {
            BosMode::Never => Ok(None),
            BosMode::Auto => Ok(bos.id.filter(|_| bos.is_usual)),
            BosMode::Always => bos.id.map(Some).ok_or(CorpusError::NoBos),
        }
    }
}

/// Which windows a corpus is cut into.
///
/// ```
/// use stratigraph_corpus::{BosMode, SampleOver, Windows};
/// let windows = Windows::of(128).count(64).seed(7).over(SampleOver::Tokens).bos(BosMode::Never);
/// assert_eq!(windows, Windows::of(128).count(64).seed(7).over(SampleOver::Tokens).bos(BosMode::Never));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Windows {
    pub(crate) seq_len: usize,
    pub(crate) count: usize,
    pub(crate) draw: Draw,
    pub(crate) over: SampleOver,
    pub(crate) seed: u64,
    pub(crate) bos: BosMode,
    pub(crate) skip_first: usize,
}

impl Windows {
    /// 32 windows of `seq_len` positions, that of BOS included, with seed 0.
    pub fn of(seq_len: usize) -> Self {
        let (draw, over, bos) = (Draw::default(), SampleOver::default(), BosMode::default());
        Self { seq_len, count: 32, draw, over, seed: 0, bos, skip_first: 0 }
    }

    /// At most `n` windows.
    pub fn count(self, n: usize) -> Self {
        Self { count: n, ..self }
    }

    /// The first ones.
    pub fn first(self) -> Self {
        self.draw(Draw::First)
    }

    /// Drawn in this way.
    pub fn draw(self, draw: Draw) -> Self {
        Self { draw, ..self }
    }

    /// With the same chance for each document, or for each token.
    pub fn over(self, over: SampleOver) -> Self {
        Self { over, ..self }
    }

    /// Drawn by this seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With or without BOS.
    pub fn bos(self, bos: BosMode) -> Self {
        Self { bos, ..self }
    }

    /// With the first `n` positions of each window left out of every measure.
    pub fn skip_first(self, n: usize) -> Self {
        Self { skip_first: n, ..self }
    }

    /// Tokens of text in a window.
    pub(crate) fn content(&self, bos: Option<u32>) -> Result<usize> {
        match self.seq_len {
            0 | 1 => Err(CorpusError::WindowTooShort { seq_len: self.seq_len }),
            seq_len => Ok(seq_len - usize::from(bos.is_some())),
        }
    }
}

/// A window of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// The number of the document.
    pub(crate) document: usize,
    /// Its tokens of text.
    pub(crate) ids: Vec<u32>,
}

/// Windows that were drawn.
pub(crate) struct Found {
    pub(crate) windows: Vec<Window>,
    /// How, in words.
    pub(crate) sampling: &'static str,
    /// Documents that are not empty.
    pub(crate) n_documents: usize,
    /// The most tokens that a document was seen to have.
    pub(crate) longest: usize,
}

impl Found {
    pub(crate) fn new(sampling: &'static str) -> Self {
        Self { windows: Vec::new(), sampling, n_documents: 0, longest: 0 }
    }
}

/// The windows of a corpus, in the order of the documents, with BOS before each. `is_one_text` says that there are no documents
/// to tell apart.
pub(crate) fn assembled(found: &Found, options: &Windows, bos: Option<u32>, is_one_text: bool) -> Result<TokenWindows> {
    let Found { windows: found, sampling, .. } = found;
    let ids: Vec<u32> = found.iter().flat_map(|window| bos.into_iter().chain(window.ids.iter().copied())).collect();
    let mut windows = TokenWindows::new(&ids, options.seq_len)?.with_skip_first(options.skip_first)?;
    if let Some(bos) = bos {
        windows = windows.with_bos(bos)?;
    }
    if !is_one_text {
        let mut numbers: Vec<usize> = found.iter().map(|window| window.document).collect();
        numbers.dedup();
        let dense = |window: &Window| numbers.binary_search(&window.document).expect("it is one of them");
        windows = windows.with_documents(found.iter().map(dense).collect())?;
    }
    Ok(windows.with_sampling(WindowSampling::new(*sampling, options.seed)))
}
