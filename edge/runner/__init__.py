"""The runner, which works on the device: measures `.tflite` files and prints JSON documents.

The package goes to a device as one file, `runner.pyz` (`edge/devices/runner_archive.py`), and needs
Python 3.8, numpy and one of ai-edge-litert, tflite-runtime, TensorFlow or larq-compute-engine, and
nothing else of Onebit. Hence its modules import each other relatively.

    python runner.pyz request.json        # or the request on standard input
    echo '{"action": "probe"}' | python runner.pyz

A request is `{"action": "probe"}`, which describes the machine, or

    {"action": "bench", "model_path": "m.tflite", "runtime": "lce", "options": {}, "threads": 1,
     "delegate": {"library": "libonebit_delegate.so", "options": {}}, "seed": 0, "min_runs": 50,
     "min_seconds": 2.0, "max_samples": 20000, "warmup_seconds": 2.0, "cooldown_seconds": 0.0,
     "affinity": "big", "parity_inputs": 8, "outputs_path": "outputs.npz", "profile_ops": false,
     "energy_seconds": 2.0, "patience": 4.0}

or `"evaluate"` with the same model, runtime, options, threads, delegate and affinity, which only
runs inputs and writes the outputs: those in `"data_path": "data.npz"` (an array `input_0`, …
`[N, …]` for each input of the model, in the file's order), or those of seed and parity_inputs.

`"count"` takes the same and `"runs": 5`, and counts the instructions of each inference; with
`"marks": true` an emulator around the runner does (`instructions.py`).

The answer is `{"status": "ok", ...}` or `{"status": "failed", "reason": "..."}`. It is the only
thing on standard output: what native libraries print meanwhile goes to standard error.
"""
