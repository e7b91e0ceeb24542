"""What can be wrong with the files: links, leftovers, half copies, damaged weights, warm-up requests that nobody can answer."""

import os
import shutil
from pathlib import Path

from tests.look.savedmodel import tables
from tests.look.savedmodels.edits import PB, SHARD, broken, cut


@broken("link")
def weights_are_a_link(m):
    (m / SHARD).rename(m.parent / "elsewhere")
    (m / SHARD).symlink_to(m.parent / "elsewhere")


@broken("link")
def graph_is_a_link(m):
    (m / PB).rename(m.parent / "graph")
    (m / PB).symlink_to(m.parent / "graph")


@broken("link")
def graph_is_a_link_to_an_endless_file(m):
    (m / PB).unlink()
    (m / PB).symlink_to("/dev/zero")


@broken("link")
def asset_is_a_link_to_a_secret(m):
    (m / "assets").mkdir(exist_ok=True)
    (m / "assets/passwords").symlink_to("/etc/passwd")


@broken("link")
def folder_is_a_link(m):
    (m / "assets").rmdir() if (m / "assets").is_dir() else None
    (m / "assets").symlink_to("/etc")


@broken("link")
def link_that_leads_nowhere(m):
    (m / "fingerprint.pb").unlink(missing_ok=True)
    (m / "fingerprint.pb").symlink_to("gone")


@broken("neither a file nor a directory")
def pipe_among_the_files(m):
    os.mkfifo(m / "pipe")


@broken("neither a file nor a directory")
def graph_is_a_pipe(m):
    (m / PB).unlink()
    os.mkfifo(m / PB)


@broken("neither a file nor a directory")
def weights_are_a_pipe(m):
    (m / SHARD).unlink()
    os.mkfifo(m / SHARD)


@broken("saved_model.pb")
def graph_is_a_directory(m):
    (m / PB).unlink()
    (m / PB).mkdir()


@broken("saved_model.pb is missing")
def graph_is_missing(m):
    (m / PB).unlink()


@broken("hidden")
def hidden_file(m):
    (m / ".profile").write_text("x")


@broken("hidden")
def hidden_folder(m):
    (m / ".git").mkdir()
    (m / ".git/config").write_text("x")


@broken("UTF-8")
def name_that_is_no_text(m):
    with open(os.fsencode(m) + b"/\xff\xfe", "wb") as file:
        file.write(b"x")


@broken("do not survive a copy")
def name_with_a_line_break(m):
    (m / "a\nb").write_text("x")


@broken("do not survive a copy")
def name_with_a_backslash(m):
    (m / "..\\..\\evil").write_text("x")


@broken("beside or in place of")
def text_graph_beside_the_binary_one(m):
    (m / "saved_model.pbtxt").write_text("saved_model_schema_version: 1")


@broken("saved_model.pbtxt")
def text_graph_alone(m):
    (m / PB).unlink()
    (m / "saved_model.pbtxt").write_text("saved_model_schema_version: 1")


@broken("beside or in place of")
def chunked_graph_beside_the_binary_one(m):
    (m / "saved_model.cpb").write_bytes(b"x")


@broken("model.tflite")
def lite_model_beside_it(m):
    (m / "model.tflite").write_bytes(b"TFL3")


@broken("session options")
def session_options_beside_it(m):
    (m / "assets.extra").mkdir()
    (m / "assets.extra/saved_model_config.pb").write_bytes(b"x")


@broken("program")
def library_beside_it(m):
    shutil.copy("/bin/true", m / "custom_ops.so")


@broken("program")
def python_beside_it(m):
    (m / "sitecustomize.py").write_text("import os")


@broken("program")
def pickle_beside_it(m):
    (m / "preprocess.pkl").write_bytes(b"\x80\x04.")


@broken("directories")
def deep_folders(m):
    (m / "assets" / Path(*["d"] * 30)).mkdir(parents=True)


@broken("files")
def countless_files(m):
    (m / "assets").mkdir(exist_ok=True)
    for number in range(10_050):
        (m / f"assets/{number}").touch()


@broken("saved_model.pb")
def graph_is_empty(m):
    (m / PB).write_bytes(b"")


@broken("saved_model.pb")
def graph_is_cut_off(m):
    cut(m / PB, 0.6)


@broken("damaged")
def graph_is_random(m):
    (m / PB).write_bytes(bytes((i * 7919 + 31) % 251 for i in range(5000)))


@broken("damaged")
def graph_is_a_web_page(m):
    (m / PB).write_text("<html><body>404 Not Found</body></html>")


@broken("saved_model.pb")
def graph_is_larger_than_any(m):
    os.truncate(m / PB, 3 * 2**30)


@broken("damaged")
def graph_ends_in_rubbish(m):
    with (m / PB).open("ab") as file:
        file.write(b"\xff" * 64)


@broken("fields")
def graph_of_nothing_but_fields(m):
    (m / PB).write_bytes(b"\x10\x01" * 3_000_000)


def _nested(depth):
    content = b""
    for _ in range(depth):
        content = b"\x12" + tables.varint(len(content)) + content
    return content


@broken("saved_model.pb")
def graph_nested_without_end(m):
    (m / PB).write_bytes(_nested(20_000))
