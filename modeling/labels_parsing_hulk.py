# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Label vocabularies of human parsing: the names of the parts in channel order, and how often each occurs.

A ratio is the share of training pictures in which a class is present (0..1), a constant of the official recipe; it
balances the loss of the presence logits. Index 0 is the background everywhere.

VIP and PaperDoll use the labels of CIHP: their text features in the release are the same bits.
"""

# fmt: off
LIP_LABELS = (
    "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants",
    "jumpsuits", "scarf", "skirt", "face", "left arm", "right arm", "left leg", "right leg", "left shoe", "right shoe",
)
CIHP_LABELS = (
    "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants",
    "torso skin", "scarf", "skirt", "face", "left arm", "right arm", "left leg", "right leg", "left shoe",
    "right shoe",
)
H36M_PARTS_LABELS = (
    "background", "right hip", "right knee", "right foot", "left hip", "left knee", "left foot", "left shoulder",
    "left elbow", "left hand", "right shoulder", "right elbow", "right hand", "crotch", "right thigh", "right calf",
    "left thigh", "left calf", "lower spine", "upper spine", "head", "left arm", "left forearm", "right arm",
    "right forearm",
)
MODANET_LABELS = (
    "background", "bag", "belt", "boots", "footwear", "outer", "dress", "sunglasses", "pants", "top", "shorts",
    "skirt", "headwear", "scarf & tie",
)
# The release names none of these. The text features of rows 0, 7 and 9 are those of "background", "shorts" and
# "skirt", which fits the category order of the data set.
DEEPFASHION2_LABELS = (
    "background", "short sleeve top", "long sleeve top", "short sleeve outwear", "long sleeve outwear", "vest",
    "sling", "shorts", "trousers", "skirt", "short sleeve dress", "long sleeve dress", "vest dress", "sling dress",
)

# The pairs of the official evaluation. For this set and for LIP and CIHP (14-15, 16-17, 18-19) the pairs derived from
# the words "left" and "right" are the same, so nothing has to be overridden; the test holds the two side by side.
H36M_PARTS_FLIP_PAIRS = (
    (1, 4), (2, 5), (3, 6), (7, 10), (8, 11), (9, 12), (14, 16), (15, 17), (21, 23), (22, 24),
)

CIHP_RATIOS = (
    1.0, 0.25279349, 0.97595474, 0.06368458, 0.08419378, 0.91287129, 0.18341584, 0.50346535, 0.12729844, 0.6937058,
    0.96898868, 0.07022631, 0.07464639, 0.99359972, 0.88490099, 0.88490099, 0.27644979, 0.27644979, 0.33016266,
    0.33016266,
)
# The recipe gives LIP the numbers of CIHP: 0.97 at index 10 fits torso skin, not jumpsuits.
LIP_RATIOS = CIHP_RATIOS
H36M_PARTS_RATIOS = (
    1.0, 0.97325, 0.96685, 0.99035, 0.97325, 0.96685, 0.99035, 0.9929, 0.9459, 0.89645, 0.9929, 0.9459, 0.89645, 0.981,
    0.9997, 0.99265, 0.9997, 0.99265, 0.9995, 0.9999, 0.9999, 0.9758, 0.92565, 0.9758, 0.92565,
)
MODANET_RATIOS = (
    1.0, 0.39335822, 0.26335535, 0.13557278, 0.75065557, 0.45334482, 0.27604555, 0.16753756, 0.44042492, 0.66362331,
    0.13457747, 0.2597952, 0.1042205, 0.09562638,
)
VIP_RATIOS = (
    1.0, 0.32660133, 0.99084953, 0.02918404, 0.05246629, 0.99133683, 0.10801884, 0.30001624, 0.34658076, 0.91369322,
    0.98635551, 0.01581028, 0.11895609, 0.99258216, 0.97891061, 0.97891061, 0.49520819, 0.49520819, 0.70480264,
    0.70480264,
)
DEEPFASHION2_RATIOS = (
    1.0, 0.3677049, 0.18624096, 0.00280786, 0.06970687, 0.08321482, 0.01023124, 0.18925719, 0.28635504, 0.15953761,
    0.08870552, 0.04064888, 0.09255005, 0.03362141,
)
PAPERDOLL_RATIOS = (
    1.0, 0.12651171, 0.94452887, 0.02259627, 0.15420962, 0.77400733, 0.31712794, 0.38393873, 0.19776277, 0.57624167,
    0.93249214, 0.06845597, 0.21319609, 0.92469293, 0.90792337, 0.90792337, 0.57439372, 0.57439372, 0.71469356,
    0.71469356,
)
# fmt: on

__all__ = [
    "CIHP_LABELS",
    "CIHP_RATIOS",
    "DEEPFASHION2_LABELS",
    "DEEPFASHION2_RATIOS",
    "H36M_PARTS_FLIP_PAIRS",
    "H36M_PARTS_LABELS",
    "H36M_PARTS_RATIOS",
    "LIP_LABELS",
    "LIP_RATIOS",
    "MODANET_LABELS",
    "MODANET_RATIOS",
    "PAPERDOLL_RATIOS",
    "VIP_RATIOS",
]
