//! Documents that are cut into windows: [`Corpus`].

use std::io::Read;
use std::path::Path;

use stratigraph_core::{CoreError, TokenWindows};

use crate::jsonl::LineOptions;
use crate::sample::Sample;
use crate::source::Source;
use crate::windows::{Found, Window, assembled};
use crate::{CorpusError, DocumentFormat, Draw, Result, SampleOver, TextEncoder, Windows};

/// Documents: a text file is one, each line of a JSONL file and each row of a Parquet file is one, and a directory has those of
/// its files. They are read as a stream, with little memory whatever their size.
///
/// ```
/// use stratigraph_core::TokenSpan;
/// use stratigraph_corpus::{BosToken, Corpus, DocumentFormat, TextEncoder, Windows};
///
/// struct Bytes; // a token for each byte
/// impl TextEncoder for Bytes {
///     fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(text.bytes().enumerate().map(|(at, byte)| TokenSpan::new(byte.into(), at..at + 1)).collect())
///     }
///     fn bos(&self) -> BosToken {
///         BosToken::new(Some(256), true)
///     }
/// }
///
/// let lines = "{\"text\": \"one document\"}\n{\"text\": \"and another one\"}\n";
/// let corpus = Corpus::from_reader("lines", DocumentFormat::JsonLines, lines.as_bytes())?;
/// let windows = corpus.windows(&Bytes, Windows::of(5).count(2).seed(3))?;
/// assert_eq!((windows.n_sequences(), windows.bos(), windows.documents()), (2, Some(256), Some(&[0, 1][..])));
/// # Ok::<(), stratigraph_corpus::CorpusError>(())
/// ```
pub struct Corpus {
    pub(crate) sources: Vec<Source>,
    pub(crate) options: LineOptions,
}

impl Corpus {
    /// A file or a directory.
    ///
    /// # Errors
    /// When it cannot be read, or the directory has no files.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_paths([path])
    }

    /// Files and directories, in this order.
    ///
    /// # Errors
    /// As [`open`](Corpus::open).
    pub fn from_paths<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut sources = Vec::new();
        for path in paths {
            match path.as_ref() {
                path if path.is_dir() => sources.extend(Source::directory(path)?),
                path => sources.push(Source::file(path)?),
            }
        }
        Ok(Self::of(sources))
    }

    /// Input that cannot be read twice, such as standard input. What has been read is kept in a temporary file.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn from_reader(
        name: impl Into<String>,
        format: DocumentFormat,
        input: impl Read + Send + 'static,
    ) -> Result<Self> {
        Ok(Self::of(vec![Source::stream(&name.into(), format, Box::new(input))?]))
    }

    fn of(sources: Vec<Source>) -> Self {
        Self { sources, options: LineOptions { field: "text".to_owned(), is_lossy: false } }
    }

    /// With the text in another field of JSONL, or another column of Parquet, than `text`.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.options.field = field.into();
        self
    }

    /// With all files in one format, whatever their names.
    pub fn with_format(mut self, format: DocumentFormat) -> Self {
        self.sources.iter_mut().for_each(|source| (source.format, source.doubt) = (format, None));
        self
    }

    /// With bytes that are not UTF-8 replaced by U+FFFD.
    pub fn lossy(mut self) -> Self {
        self.options.is_lossy = true;
        self
    }

    /// Whether it is a single text file, which has no documents to tell apart.
    pub fn is_one_text(&self) -> bool {
        matches!(&self.sources[..], [source] if source.format == DocumentFormat::Text)
    }

    /// Its windows, in the order of the documents, with the document of each where there are several. Fewer than asked for
    /// where the documents have no more.
    ///
    /// # Errors
    /// When a document cannot be read or encoded, the format of a file is not clear from its name, no document is as long as a
    /// window, or there is no BOS token where one is asked for.
    pub fn windows(&self, encoder: &dyn TextEncoder, options: Windows) -> Result<TokenWindows> {
        let bos = options.bos.token(encoder.bos())?;
        let content = options.content(bos)?;
        let found = match options.draw {
            Draw::First => self.first(encoder, content, options.count)?,
            Draw::Random => self.random(encoder, content, &options)?,
            Draw::Auto if !self.is_one_text() => self.random(encoder, content, &options)?,
            Draw::Auto => match self.first(encoder, content, options.count.saturating_add(1))? {
                first if first.windows.len() <= options.count => first,
                _ => self.random(encoder, content, &options)?,
            },
        };
        if found.windows.is_empty() {
            return Err(self.too_short(content, options.seq_len, &found));
        }
        assembled(&found, &options, bos, self.is_one_text())
    }

    fn too_short(&self, needed: usize, seq_len: usize, found: &Found) -> CorpusError {
        let &Found { n_documents, longest, .. } = found;
        match self.is_one_text() {
            true => CoreError::TextTooShort { n_tokens: longest, seq_len }.into(),
            false => CorpusError::TooShort { name: self.name(), needed, n_documents, longest },
        }
    }

    /// What errors call it: its files with commas between, and no more than three of them.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        match names.len() {
            0..=3 => names.join(", "),
            n => format!("{} and {} other files", names[0], n - 1),
        }
    }

    /// The first windows of `content` tokens of text of each document.
    fn first(&self, encoder: &dyn TextEncoder, content: usize, count: usize) -> Result<Found> {
        let mut found = Found::new("first");
        self.each_document(&mut |document| {
            let left = count - found.windows.len();
            if left == 0 {
                return Ok(false);
            }
            let ids = self.ids(encoder, &document, left.saturating_mul(content))?;
            found.n_documents += usize::from(!ids.is_empty());
            found.longest = found.longest.max(ids.len());
            let windows = ids.chunks_exact(content).take(left);
            found.windows.extend(windows.map(|ids| Window { document: document.number, ids: ids.to_vec() }));
            Ok(found.windows.len() < count)
        })?;
        Ok(found)
    }

    /// Windows of `content` tokens of text drawn at random.
    fn random(&self, encoder: &dyn TextEncoder, content: usize, options: &Windows) -> Result<Found> {
        let mut found = Found::new(match options.over {
            SampleOver::Documents => "random over documents",
            SampleOver::Tokens => "random over tokens",
        });
        for round in 0.. {
            let mut sample = Sample::new(self, encoder, (content, round), options);
            self.each_document(&mut |document| {
                sample.offer(document)?;
                Ok(true)
            })?;
            (found.n_documents, found.longest) = (sample.n_documents(), sample.longest());
            let is_cut = sample.is_cut();
            found.windows = sample.windows()?;
            if found.windows.len() == options.count || !is_cut {
                break;
            }
        }
        Ok(found)
    }
}
