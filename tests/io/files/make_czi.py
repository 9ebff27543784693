"""How the CZI files here were made: with Zeiss' own library, pip install "pylibCZIrw==6.1.0"; python make_czi.py.

It is LGPL, and so no dependency of anything here.
"""

from pathlib import Path

import numpy as np
from pylibCZIrw import czi

HERE = Path(__file__).parent


def pixels(shape, seed, dtype=np.uint16):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def main():
    stack, tiles = pixels((2, 2, 3, 7, 9), 0), pixels((2, 2, 2, 12, 14), 1)
    with czi.create_czi(str(HERE / "stack.czi"), exist_ok=True) as file:
        for t, c, z in np.ndindex(2, 2, 3):
            file.write(stack[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})
        size = {"scale_x": 0.25e-6, "scale_y": 0.5e-6, "scale_z": 2e-6}
        file.write_metadata("stack", channel_names={0: "DAPI", 1: "GFP ü"}, **size)
    with czi.create_czi(str(HERE / "scenes.czi"), exist_ok=True, compression_options="zstd1:ExplicitLevel=1") as file:
        for scene, (y, x) in enumerate([(-5, 10), (100, 40)]):
            for j, i in np.ndindex(2, 2):  # two pixels of each tile lie below the next
                at = (x + 12 * i, y + 10 * j)
                file.write(tiles[scene, j, i][..., None], location=at, plane={"C": 0}, scene=scene)
        file.write_metadata("scenes", channel_names={0: "DAPI"}, scale_x=0.25e-6, scale_y=0.25e-6)
    with czi.create_czi(str(HERE / "colours.czi"), exist_ok=True) as file:
        file.write(pixels((12, 14, 3), 2, np.uint8))
        file.write_metadata("colours")
    with czi.create_czi(str(HERE / "stopped.czi"), exist_ok=True) as file:  # no metadata, no time point 4
        for number, t in enumerate((3, 5)):
            file.write(pixels((2, 7, 9), 3)[number][..., None], plane={"T": t, "C": 0})


if __name__ == "__main__":
    main()
