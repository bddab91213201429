//! Secrets that are made up.

use deployd_core::ports::{Random, Recipe, VaultError};

/// The most characters to choose from: a byte chooses one.
const CHARACTERS_MAX: usize = 256;

/// A value of this recipe.
pub(crate) fn generate(recipe: &Recipe, random: &dyn Random) -> Result<String, VaultError> {
    let characters: Vec<char> = recipe.alphabet.chars().collect();
    if characters.is_empty() || characters.len() > CHARACTERS_MAX {
        return Err(VaultError::Recipe("its alphabet has no or too many characters".into()));
    }
    if !(Recipe::LENGTH_MIN..=Recipe::LENGTH_MAX).contains(&recipe.length) {
        return Err(VaultError::Recipe(format!(
            "its length is {}, expected {} to {}",
            recipe.length,
            Recipe::LENGTH_MIN,
            Recipe::LENGTH_MAX
        )));
    }
    // Bytes that would favour the first characters are drawn again.
    let fair = CHARACTERS_MAX - CHARACTERS_MAX % characters.len();
    let mut value = String::with_capacity(recipe.length);
    let mut drawn = 0;
    while drawn < recipe.length {
        let mut byte = [0u8; 1];
        random.fill(&mut byte);
        let at = usize::from(byte[0]);
        if at < fair {
            value.extend(characters.get(at % characters.len()));
            drawn += 1;
        }
    }
    Ok(value)
}
