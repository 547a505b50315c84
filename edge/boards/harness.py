"""The harness and a network as sources for a real board, which `serial:` devices then ask."""

from edge.boards.exports import ExportedNetwork
from edge.boards.firmware import PACKAGE, name_lines

_COPIED = ("board.h", "harness.c", "processor.c", "serial.c")


def harness_files(network: ExportedNetwork, sketch: str) -> dict[str, str]:
    """The files of a folder that is an Arduino sketch, and sources for other projects.

    Args:
        network: An exported folder.
        sketch: The folder's name, which Arduino asks of the sketch.
    """
    files = {name: (PACKAGE / name).read_text(encoding="utf-8") for name in _COPIED}
    for path in sorted((network.folder / "src").iterdir()):
        files[path.name] = path.read_text(encoding="utf-8")
    files["vectors.h"] = (network.folder / "vectors.h").read_text(encoding="utf-8")
    files["network.h"] = name_lines(network)
    files[f"{sketch}.ino"] = (PACKAGE / "harness.ino").read_text(encoding="utf-8")
    readme = (PACKAGE / "harness.md").read_text(encoding="utf-8")
    files["README.md"] = readme.replace("@NAME@", network.name)
    return files
