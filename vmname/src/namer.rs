//! How names are drawn.

use crate::text::text_traits;
use crate::{BaseName, NameError, Suffix, SuffixScheme, VmName, sanitize};
use rand::Rng;

/// How names are drawn: which suffixes, and how often to try again when a name is taken.
///
/// By default four hexadecimal digits, one attempt and three more, then four attempts with a suffix
/// one character longer each. [`claim`](Self::claim) and [`claim_async`](Self::claim_async) draw
/// and ask in one go.
///
/// With four hexadecimal digits and no growth, a claim beside 10,000 names of one base finds none
/// once in 1,845 times. With growth it still succeeds when all 65,536 suffixes are taken.
///
/// ```
/// use vmname::{Namer, SuffixScheme};
///
/// let namer = Namer::new().with_scheme(SuffixScheme::VOWELLESS).with_retries(7).with_growth(0);
/// assert_eq!(namer.attempts(), 8);
/// assert_eq!(Namer::new().attempts(), 1 + 3 + 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namer {
    scheme: SuffixScheme,
    retries: u32,
    growth: u32,
}

impl Namer {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { scheme: SuffixScheme::HEX, retries: 3, growth: 4 }
    }

    /// Draws suffixes of another scheme.
    #[must_use]
    pub const fn with_scheme(mut self, scheme: SuffixScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Tries again `retries` times with a suffix of the scheme's length.
    #[must_use]
    pub const fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Lets the suffix grow by up to `growth` characters, one with each further attempt, and never
    /// beyond [`Suffix::MAX_LEN`].
    #[must_use]
    pub const fn with_growth(mut self, growth: u32) -> Self {
        self.growth = growth;
        self
    }

    /// How many names a claim asks for before it gives up.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 10")]
        let room = (Suffix::MAX_LEN - self.scheme.length()) as u32;
        let growth = if self.growth < room { self.growth } else { room };
        self.retries.saturating_add(1).saturating_add(growth)
    }

    /// Draws one name, without asking whether it is taken.
    ///
    /// ```
    /// use rand::{SeedableRng as _, rngs::StdRng};
    /// use vmname::{BaseName, Namer};
    ///
    /// let name = Namer::new().draw(BaseName::from_static("web"), &mut StdRng::seed_from_u64(7));
    /// assert_eq!(name.as_str().len(), "web-xxxx".len());
    /// ```
    #[must_use]
    pub fn draw<R: Rng + ?Sized>(&self, base: BaseName, rng: &mut R) -> VmName {
        base.with_suffix(self.scheme.draw(rng))
    }

    /// Draws the name of an attempt, counted from 1.
    pub(crate) fn draw_attempt<R: Rng + ?Sized>(
        &self,
        base: BaseName,
        attempt: u32,
        rng: &mut R,
    ) -> VmName {
        let growth = attempt.saturating_sub(1).saturating_sub(self.retries);
        base.with_suffix(self.scheme.draw_of_length(self.scheme.length() + growth as usize, rng))
    }

    /// What a name made of `raw` will look like, with `x` for what is drawn later.
    ///
    /// # Errors
    ///
    /// If the sanitised text is no base name. The error is about that text, not about `raw`.
    ///
    /// ```
    /// use vmname::{Namer, SuffixScheme};
    ///
    /// let namer = Namer::new().with_scheme(SuffixScheme::VOWELLESS);
    /// assert_eq!(namer.preview("My Awesome VM!")?, "my-awesome-vm-xxxxx");
    /// # Ok::<(), vmname::NameError>(())
    /// ```
    pub fn preview(&self, raw: &str) -> Result<Preview, NameError> {
        let base = sanitize(raw).validate()?;
        Ok(Preview { name: base.with_suffix(self.scheme.placeholder()) })
    }
}

impl Default for Namer {
    fn default() -> Self {
        Self::new()
    }
}

/// What a name made of `raw` will look like, as [`Namer::preview`] with the defaults.
///
/// # Errors
///
/// If the sanitised text is no base name.
///
/// ```
/// assert_eq!(vmname::preview("My Awesome VM!")?, "my-awesome-vm-xxxx");
///
/// let refused = vmname::preview("1").unwrap_err();
/// assert_eq!(refused.proposal(), "vm-1");
/// # Ok::<(), vmname::NameError>(())
/// ```
pub fn preview(raw: &str) -> Result<Preview, NameError> {
    Namer::new().preview(raw)
}

/// What a name will look like: not a [`VmName`], so that nobody claims it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    name: VmName,
}

impl Preview {
    /// The preview as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.name.as_str()
    }
}

text_traits!(Preview);
