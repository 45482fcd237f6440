// SPDX-License-Identifier: Apache-2.0
import uPlot from "uplot";

/** Bars of equal width, whatever the time between them. */
export const bars: uPlot.Series.PathBuilder = uPlot.paths.bars!({ size: [0.8, 24] });
