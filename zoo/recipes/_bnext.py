"""Settings that BNext's recipes share, which are its authors' program's.

https://github.com/hpi-xnor/BNext, `src/train_assistant_group_amp.py` with the settings of
`src/script/`: AdamW at 1e-3, 5 epochs of rising rates, then a cosine down to 1e-7; weight decay of
1e-3 for what has not four dimensions (normalisations, slopes, biases, the last layer); gradients no
longer than 5.

Differs from the program: rates rise and fall by step, not by epoch, and rise from 0, not from 1e-5;
no weight decay of 1e-8 for the others, which 512 epochs would shrink by a
hundred-thousandth.
"""

from typing import Any

DECAY = 0.9
"""The program's factor of the weights' temperature from epoch to epoch: signs from the 154th on."""

TRAINING: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-7,
    "schedule": "cosine",
    "warmup_epochs": 5,
    "weight_decay": 1e-3,
    "decayed": "others",
    "gradient_norm": 5.0,
    "adam_epsilon": 1e-8,
}
"""Fields of a recipe."""
