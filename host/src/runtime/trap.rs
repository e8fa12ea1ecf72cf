//! What a trap is called in the log: the reason, then the functions it happened in.

use wasmtime::{Error, FrameInfo, WasmBacktrace};

/// So many functions are named.
const MOST: usize = 8;
/// What Rust ends a program with, which says nothing of where it was wrong.
const OF_A_PANIC: &[&str] = &["std::", "core::", "alloc::", "__rustc::"];
/// The longest name in letters; the names are the guest's own.
const LONGEST: usize = 200;

/// The reason of an error that ended a guest, and a line for each function that was running, the
/// innermost first.
pub(super) fn told(error: &Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return format!("{error:#}");
    };
    let names: Vec<_> = backtrace.frames().iter().map(name).collect();
    // The backtrace is what is put around the reasons.
    let reasons: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
    with_places(&reasons.join(": "), &names)
}

fn name(frame: &FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => readable(name),
        None => format!("function {}", frame.func_index()),
    }
}

/// A name as its language has it, cut, and with everything escaped that would steer a terminal.
fn readable(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(4 * LONGEST)];
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let mut text = String::new();
    for letter in name.chars().take(LONGEST) {
        match letter.is_control() {
            true => text.extend(letter.escape_default()),
            false => text.push(letter),
        }
    }
    text
}

fn with_places(reason: &str, names: &[String]) -> String {
    let of_a_panic = |name: &str| {
        name == "abort" || OF_A_PANIC.iter().any(|beginning| name.starts_with(beginning))
    };
    let is_wanted = |name: &&String| !of_a_panic(name);
    let mut names: Vec<_> = names.iter().filter(is_wanted).collect();
    // One that calls itself is named once.
    names.dedup();
    names.truncate(MOST);
    names.iter().fold(reason.to_owned(), |told, name| told + "\n    at " + name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    #[test]
    fn the_reason_comes_before_the_functions() {
        let text = "(module (func $divide unreachable) (func $deep (param i32)
            (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
                (else (call $divide))))
            (func $answer (export \"answer\") (call $deep (i32.const 5))))";
        let module = Module::new(&Engine::default(), wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let answer = instance.get_typed_func::<(), ()>(&mut store, "answer").unwrap();
        assert_eq!(
            told(&answer.call(&mut store, ()).unwrap_err()),
            "wasm trap: wasm `unreachable` instruction executed\n    at divide\n    \
             at deep\n    at answer"
        );
        assert_eq!(told(&Error::msg("it ended")), "it ended");
    }

    #[test]
    fn what_ends_a_panic_is_left_out() {
        let names = ["abort", "std::process::abort", "core::panicking::panic", "abort_order"];
        let names = names.map(str::to_owned);
        assert_eq!(with_places("it trapped", &names), "it trapped\n    at abort_order");
    }

    #[test]
    fn a_name_can_neither_forge_a_line_nor_fill_the_log() {
        assert_eq!(readable("a\r\n\u{1b}[2J"), "a\\r\\n\\u{1b}[2J");
        assert_eq!(readable(&"ä".repeat(100_000)).chars().count(), LONGEST);
    }
}
