//! Links as pictures, for a phone that looks at the terminal.

use std::io::IsTerminal;

/// The picture and an empty line; nothing where no terminal shows it, or the link is too long.
pub(super) fn of(url: &str) -> String {
    let picture = if std::io::stdout().is_terminal() { picture(url) } else { None };
    picture.map_or_else(String::new, |picture| format!("{picture}\n"))
}

/// Of half blocks.
fn picture(url: &str) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;
    // Drawn for light letters on a dark ground; cameras read the inverse as well.
    let code = qrcode::QrCode::with_error_correction_level(url, qrcode::EcLevel::L).ok()?;
    let render =
        code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    Some(render + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_usual_length_fits_a_terminal_as_a_picture() {
        let picture =
            picture(&format!("https://calls.example.org/j/#{}", "x".repeat(300))).unwrap();
        let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
        assert!((30..=80).contains(&widest), "{widest}");
    }
}
