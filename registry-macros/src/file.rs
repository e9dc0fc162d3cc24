//! A template **file** stands beside the source file that names it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::LitStr;

use crate::suggest::did_you_mean;

/// Finds the source file in which a token stands. Some editors cannot tell.
pub(crate) type SourceFile<'a> = &'a dyn Fn(Span) -> Option<PathBuf>;

/// Where the file is, as rustc names the source file: mostly relative to the workspace.
pub(crate) fn path(file: &LitStr, source_file: SourceFile<'_>) -> Option<PathBuf> {
    Some(source_file(file.span())?.parent()?.join(file.value()))
}

/// The file's text, or why it cannot be had.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let advice = nearest_beside(path).unwrap_or_default();
            format!("there is no template file {shown}{advice}")
        }
        ErrorKind::InvalidData => format!("the template file {shown} is not UTF-8 text"),
        _ => format!("the template file {shown} cannot be read: {error}"),
    })
}

fn nearest_beside(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let beside = std::fs::read_dir(path.parent()?).ok()?;
    let names: Vec<String> = beside
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    did_you_mean(name, names.iter().map(String::as_str))
}

/// The file's text in const data, and the word to cargo to build again when it changes.
///
/// The path is absolute, so that what is compiled is what was checked: in the body of a `macro_rules!`, `include_str!` would
/// look beside the file that calls the macro.
pub(crate) fn include(file: &LitStr, source_file: SourceFile<'_>) -> TokenStream {
    let found = path(file, source_file).and_then(|path| std::path::absolute(path).ok());
    let text = file.value();
    let path = found
        .as_ref()
        .and_then(|path| path.to_str())
        .unwrap_or(&text);
    quote_spanned!(file.span()=> ::core::include_str!(#path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_told_with_its_path_and_the_nearest_beside_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chek.rs");
        let refusal = read(&path).unwrap_err();
        assert!(refusal.starts_with(&format!("there is no template file {}", path.display())));
        assert!(refusal.ends_with("; did you mean `check.rs`?"), "{refusal}");
        assert!(read(&path.with_file_name("check.rs")).is_ok());
    }
}
