"""A parametric face: the 468 points of the mesh on an ellipsoidal head, with a mouth, brows and lids that move.

The named contours of the mesh (lips, eyes, brows, nose, outline; MediaPipe 0.10.21 `face_mesh_connections.py`) are
placed by hand. Every other point lies at the mean of its neighbours in the mesh; this was solved once and is kept in
`_FILLED`. The tables have only the signer's right half and the midline; the left half is their mirror image. Lengths
are millimetres in the tables and metres in the results; x to the signer's left, y down, z backwards.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from signloom import layout

# For each point: its number, x, y.
_CONTOURS = """
10 0 -88  109 -18 -87  67 -34 -82  103 -47 -73  54 -57 -60  21 -64 -44  162 -67 -28  127 -69 -10  234 -70 8
93 -69 22  132 -67 36  58 -62 50  172 -54 63  136 -45 72  150 -35 79  149 -25 84  176 -16 87  148 -8 89  152 0 90
33 -45 -20  246 -43 -23  161 -39 -26  160 -34 -28  159 -30 -28.5  158 -26 -27.5  157 -22 -25  173 -19 -21
133 -17 -18  155 -19 -17  154 -22 -15.5  153 -26 -14.5  145 -30 -14.5  144 -34 -15  163 -38 -16  7 -42 -17.5
70 -53 -38  63 -46 -45  105 -36 -48  66 -25 -47  107 -14 -43  46 -52 -34  53 -45 -39.5  52 -36 -42  65 -26 -41
55 -15 -38  168 0 -22  6 0 -14  197 0 -6  195 0 1  5 0 6  4 0 12  1 0 16  19 0 20  94 0 23  2 0 26  98 -11 21
97 -6 24  64 -16 17  48 -17 13  115 -15 7  220 -12 12  45 -6 13  151 0 -66  9 0 -44  8 0 -33  164 0 30
11 0 37.5  12 0 40  15 0 46.5  16 0 49.5  18 0 58  200 0 66  199 0 75  175 0 83
61 -26 43  185 -21.5 40  40 -16 37.5  39 -10.5 35.5  37 -5 34  0 0 35  17 0 52  84 -5.5 51.8  181 -11 50.6
91 -17 48.5  146 -22 45.8  78 -22 42.8  191 -18 41.8  80 -13.5 41.3  81 -9 41  82 -4.5 41.2  13 0 41.5  14 0 44
87 -4.5 44.2  178 -9 44.2  88 -13.5 44  95 -18 43.4
"""
_FILLED = """
3 -3 -1  20 -9 18  22 -26 -11  23 -31 -10  24 -35 -10  25 -42 -14  26 -21 -12  27 -32 -31  28 -26 -29  29 -37 -31
30 -40 -28  31 -43 -7  32 -11 69  34 -62 -8  35 -49 -13  36 -21 17  38 -5 40  41 -10 40  42 -14 41  43 -21 48
44 -4 15  47 -15 2  49 -15 13  50 -35 16  51 -4 6  56 -22 -26  57 -23 43  59 -13 15  60 -11 17  62 -19 43  68 -53 -49
69 -28 -57  71 -57 -38  72 -6 38  73 -12 38  74 -15 40  75 -12 16  76 -20 44  77 -18 46  79 -10 16  83 -6 55  85 -4 49
86 -4 46  89 -12 46  90 -14 47  92 -17 33  96 -17 45  99 -10 20  100 -20 7  101 -26 10  102 -15 15  104 -43 -59
106 -17 53  108 -16 -63  110 -38 -13  111 -47 -2  112 -18 -15  113 -48 -22  114 -12 -2  116 -54 8  117 -39 3
118 -32 4  119 -27 3  120 -23 0  121 -18 -1  122 -6 -14  123 -47 19  124 -52 -19  125 -5 18  126 -16 8  128 -15 -6
129 -15 15  130 -44 -18  131 -13 10  134 -9 8  135 -37 62  137 -59 21  138 -45 56  139 -61 -24  140 -14 77  141 -3 21
142 -17 13  143 -54 -7  147 -47 36  156 -56 -22  165 -12 27  166 -12 16  167 -6 29  169 -28 65  170 -23 76  171 -6 77
174 -9 -2  177 -55 35  179 -9 46  180 -9 48  182 -12 55  183 -17 42  184 -19 42  186 -21 38  187 -37 35  188 -10 -7
189 -16 -26  190 -19 -24  192 -39 49  193 -9 -24  194 -14 60  196 -5 -6  198 -11 7  201 -7 62  202 -24 49  203 -16 20
204 -20 56  205 -27 25  206 -19 26  207 -29 37  208 -5 70  209 -14 9  210 -24 57  211 -19 66  212 -25 42  213 -44 45
214 -30 49  215 -51 48  216 -23 33  217 -12 3  218 -12 13  219 -14 13  221 -22 -31  222 -30 -35  223 -37 -35
224 -41 -33  225 -45 -30  226 -45 -14  227 -61 7  228 -39 -8  229 -34 -4  230 -28 -4  231 -24 -7  232 -19 -8
233 -15 -12  235 -14 15  236 -8 2  237 -8 16  238 -8 18  239 -8 17  240 -12 18  241 -7 18  242 -7 20  243 -17 -20
244 -14 -18  245 -12 -14  247 -44 -23
"""

# The blend weights of `deform`, in this order.
EXPRESSIONS = ("opened", "spread", "rounded", "brows", "blink")


@cache
def neutral_face() -> np.ndarray:
    """Returns the face at rest, (468, 3) metres; the origin is between eyes and nose, in the middle of the head's
    width."""
    values = np.array((_CONTOURS + _FILLED).split(), dtype=np.float64).reshape(-1, 3)
    numbers = values[:, 0].astype(int)
    flat = np.full((layout.NUM_FACE_POINTS, 2), np.nan)
    flat[numbers] = values[:, 1:]
    mirror = layout.mirror_map()[layout.GROUPS["face"]] - layout.GROUPS["face"].start
    flat[mirror[numbers]] = values[:, 1:] * (-1, 1)
    x, y = flat.T
    head = -95 * np.sqrt(np.clip(1 - 0.88 * (x / 74) ** 2 - 0.42 * (y / 100) ** 2, 0.02, None))
    ridge = np.interp(y, (-30, -18, 14, 22, 27), (0, -4, -24, -14, 0)) * np.exp(-((x / 10) ** 2))
    sockets = 7 * np.exp(-(((np.abs(x) - 30) / 17) ** 2) - ((y + 20) / 9) ** 2)
    lips = -5 * np.exp(-((x / 22) ** 2) - ((y - 43) / 12) ** 2)
    chin = -6 * np.exp(-((x / 22) ** 2) - ((y - 80) / 12) ** 2)
    points = (np.stack([x, y, head + ridge + sockets + lips + chin], axis=1) / 1000).astype(np.float32)
    points.setflags(write=False)
    return points


@cache
def expression_shapes() -> np.ndarray:
    """Returns the displacement of the points for each of `EXPRESSIONS` at weight 1, (5, 468, 3) metres."""
    x, y, _ = neutral_face().T.astype(np.float64) * 1000
    zero = np.zeros_like(x)
    mouth = np.exp(-((x / 30) ** 2) - ((y - 43) / 16) ** 2)
    below = 0.5 + 0.5 * np.tanh(y - 43)
    jaw = below * np.clip(1 - (x / 62) ** 2, 0, 1) * np.where(np.abs(y - 43) < 12, np.clip(1 - (x / 29) ** 2, 0, 1), 1)
    brow = np.exp(-(((y + 42) / 9) ** 2)) * np.clip(np.abs(x) / 12, 0, 1) * np.clip((66 - np.abs(x)) / 14, 0, 1)
    lid = np.exp(-(((np.abs(x) - 30) / 13) ** 2) - ((y + 27.5) / 3.5) ** 2)
    shapes = [
        (zero, 20 * jaw, 3 * jaw),
        (0.3 * x * mouth, -2 * mouth, zero),
        (-0.4 * x * mouth, zero, -7 * mouth),
        (zero, -8 * brow, zero),
        (zero, 11 * lid, zero),
    ]
    result = (np.stack([np.stack(shape, axis=1) for shape in shapes]) / 1000).astype(np.float32)
    result.setflags(write=False)
    return result


def deform(weights: np.ndarray) -> np.ndarray:
    """Returns the face with expressions, (T, 468, 3) metres, from blend weights (T, 5) in the order of
    `EXPRESSIONS`."""
    return neutral_face() + np.tensordot(weights, expression_shapes(), axes=1)
