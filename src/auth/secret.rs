//! Values that never reach a log: `Debug` prints `[secret]`, memory is wiped on drop.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A value that must not be printed. `expose` is the one way in, so that uses can be searched for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself, for hashing or for the one reply that hands it out.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Fills `N` bytes from the operating system's generator.
///
/// # Errors
/// Fails only where the kernel has no entropy source; the daemon does not start then.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A fresh shared secret: 64 lowercase hex digits, used as those characters (32 random bytes).
///
/// # Errors
/// As [`random_bytes`].
pub fn generate_shared_secret() -> Result<Secret<String>, getrandom::Error> {
    let bytes = Zeroizing::new(random_bytes::<32>()?);
    Ok(Secret::new(hex(bytes.as_slice())))
}

/// Lowercase hex digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[secret] Some([secret])");
    }

    #[test]
    fn a_generated_secret_is_64_hex_digits_and_never_the_same() {
        let a = generate_shared_secret().unwrap();
        let b = generate_shared_secret().unwrap();
        assert_eq!(a.expose().len(), 64);
        assert!(a.expose().bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()));
        assert_ne!(a.expose(), b.expose());
    }
}
